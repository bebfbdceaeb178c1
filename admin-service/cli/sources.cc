#include "admin-service/cli/sources.h"

#include <algorithm>
#include <iostream>
#include <iterator>

#include "admin-service/up/files.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::cli {

absl::Status Sources::Add(const std::string& path) {
  if (path == "-") {
    AddText("standard input", std::string(std::istreambuf_iterator<char>(std::cin), {}));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string text, up::ReadFile(path));
  AddText(path, text);
  return absl::OkStatus();
}

void Sources::AddText(std::string name, std::string_view text) {
  if (!text_.empty()) {
    text_ += "---\n";
    ++lines_;
  }
  parts_.push_back({std::move(name), lines_ + 1});
  text_ += text;
  if (!text.empty() && text.back() != '\n') text_ += '\n';
  lines_ = static_cast<int>(std::count(text_.begin(), text_.end(), '\n'));
}

std::string Sources::Locate(std::string_view message) const {
  std::vector<std::string> out;
  for (const std::string_view line : base::Split(message, '\n')) {
    const size_t colon = line.find(':');
    const auto number =
        base::ParseInt<int>(line.substr(0, colon == std::string_view::npos ? 0 : colon));
    if (!number) {
      out.emplace_back(line);
      continue;
    }
    const Part* part = &parts_.front();
    for (const Part& candidate : parts_) {
      if (candidate.first_line <= *number) part = &candidate;
    }
    out.push_back(
        base::StrCat(part->name, ":", *number - part->first_line + 1, line.substr(colon)));
  }
  return base::Join(out, "\n");
}

}  // namespace posthorn::cli
