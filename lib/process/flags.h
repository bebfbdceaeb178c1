#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "lib/process/service.h"

namespace posthorn::process {

struct ParsedFlags {
  Flags flags;
  std::string log_level = "info";
  bool help = false;
  bool version = false;
};
// `own` are flags with a value that one process has for itself ("--backend"). kInvalidArgument
// names the bad flag.
absl::StatusOr<ParsedFlags> ParseFlags(std::span<const std::string> arguments,
                                       const std::vector<std::string>& own);
// The text for --help.
std::string Usage(std::string_view process, const std::vector<std::string>& own);

// "store-service" → "store": the word in socket names and flags; gateways keep their name.
std::string SocketWord(std::string_view process);
// "store" → "store-service".
std::string ProcessOf(std::string_view word);
// Where `process` reaches the service called `word`.
std::string SocketTarget(const std::string& run, std::string_view word, std::string_view process);

}  // namespace posthorn::process
