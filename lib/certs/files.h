#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/statusor.h"

namespace posthorn::certs {

absl::StatusOr<std::string> ReadFile(const std::string& path);
// Replaces the file at once and durably. One that is there keeps its owner, group and mode; a new
// one gets `mode`.
absl::Status ReplaceFile(const std::string& path, const std::string& text, mode_t mode);

}  // namespace posthorn::certs
