#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::cli {

// Several files as one text of YAML documents, that remembers where each line came from.
class Sources {
 public:
  // "-" is standard input.
  absl::Status Add(const std::string& path);
  void AddText(std::string name, std::string_view text);
  const std::string& text() const { return text_; }
  // "12:3: what is wrong" lines become "file:line:column: what is wrong"; other lines stay.
  std::string Locate(std::string_view message) const;

 private:
  struct Part {
    std::string name;
    int first_line;  // in text_, from 1
  };
  std::string text_;
  int lines_ = 0;
  std::vector<Part> parts_;
};

}  // namespace posthorn::cli
