#include "admin-service/cli/arguments.h"

#include <array>

#include "lib/base/strings.h"

namespace posthorn::cli {
namespace {

struct Option {
  std::string_view name;
  std::string_view letter;
  bool value;
};
constexpr std::array<Option, 42> kOptions = {
    {{"--admin", "", true},       {"--dir", "", true},
     {"--user", "", true},        {"--password-file", "", true},
     {"--token-file", "", true},  {"--output", "-o", true},
     {"--file", "-f", true},      {"--reason", "", true},
     {"--limit", "", true},       {"--from", "", true},
     {"--to", "", true},          {"--match", "", true},
     {"--port-base", "", true},   {"--bind", "", true},
     {"--users", "", true},       {"--log", "", true},
     {"--processes", "", true},   {"--dry-run", "", false},
     {"--prune", "", false},      {"--repair", "", false},
     {"--detach", "", false},     {"--tls-cert", "", true},
     {"--tls-key", "", true},     {"--tls-ca", "", true},
     {"--hosts", "", true},       {"--days", "", true},
     {"--force", "", false},      {"--ca", "", false},
     {"--demo", "", false},       {"--help", "-h", false},
     {"--database", "", true},    {"--database-password-file", "", true},
     {"--database-ca", "", true}, {"--key-file", "", true},
     {"--blobs", "", true},       {"--s3-endpoint", "", true},
     {"--s3-region", "", true},   {"--s3-credentials-file", "", true},
     {"--s3-cache", "", true},    {"--s3-disk-cache", "", true},
     {"--wait", "", true},        {"--version", "", false}}};

const Option* Find(std::string_view name) {
  for (const Option& option : kOptions) {
    if (option.name == name || (!option.letter.empty() && option.letter == name)) return &option;
  }
  return nullptr;
}

}  // namespace

std::string Arguments::Value(const std::string& option) const {
  const auto found = options.find(option);
  return found == options.end() || found->second.empty() ? "" : found->second.back();
}

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& arguments) {
  Arguments out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string word = arguments[i];
    if (word == "--") {
      out.words.insert(out.words.end(), arguments.begin() + static_cast<long>(i) + 1,
                       arguments.end());
      break;
    }
    if (word.size() < 2 || word.front() != '-') {
      out.words.push_back(std::move(word));
      continue;
    }
    std::string value;
    const size_t equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    const bool attached = equals != std::string::npos;
    if (attached) value = word.substr(equals + 1);
    if (attached) word.resize(equals);
    const Option* option = Find(word);
    if (option == nullptr) return base::Invalid(base::StrCat("unknown option ", word));
    if (attached && !option->value) return base::Invalid(base::StrCat(word, " takes no value"));
    if (option->value && !attached) {
      if (i + 1 >= arguments.size()) return base::Invalid(base::StrCat(word, " wants a value"));
      value = arguments[++i];
    }
    out.options[std::string(option->name)].push_back(std::move(value));
  }
  return out;
}

std::vector<std::string> AllOptions() {
  std::vector<std::string> out;
  for (const Option& option : kOptions) out.emplace_back(option.name);
  return out;
}

}  // namespace posthorn::cli
