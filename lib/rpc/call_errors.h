#pragma once

// Counters of calls that ended badly, by method and status. Made when the first one is counted: an
// error may cost a look-up.

#include <string_view>

#include "absl/status/status.h"

namespace posthorn::rpc {

// "UNAVAILABLE"; a closed set, for labels.
std::string_view CodeName(absl::StatusCode code);

// As the caller sees it, also when nobody could be reached. OK and CANCELLED (given up here) are no
// errors.
void CountClientError(std::string_view path, const absl::Status& status);
void CountServerError(std::string_view path, absl::StatusCode code, double by = 1);

}  // namespace posthorn::rpc
