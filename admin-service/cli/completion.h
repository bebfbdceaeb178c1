#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/schema.h"

namespace posthorn::cli {

// What completion may ask of a running suite; each may answer with nothing.
struct Knowledge {
  std::function<const config::Schema*()> schema;  // null: not reachable
  std::function<std::vector<std::string>(const std::string& kind, const std::string& begin)> names;
};
// Candidates for the last of `words` (which may be empty), all beginning with it. Pure but for
// `knowledge`.
std::vector<std::string> Complete(const std::vector<std::string>& words,
                                  const Knowledge& knowledge);
// The function that bash wants.
std::string_view BashCompletion();

}  // namespace posthorn::cli
