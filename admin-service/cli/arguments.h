#pragma once

// The command line of `posthorn`, taken apart. Pure.

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::cli {

struct Arguments {
  std::vector<std::string> words;                           // command and what follows
  std::map<std::string, std::vector<std::string>> options;  // "--output" → values, in order
  bool Has(const std::string& option) const { return options.contains(option); }
  // The last value; "" without one.
  std::string Value(const std::string& option) const;
};

// Options may stand anywhere; everything behind "--" is a word. kInvalidArgument names an unknown
// one.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& arguments);
// All options there are, for completion.
std::vector<std::string> AllOptions();

}  // namespace posthorn::cli
