#pragma once

#include "absl/status/status.h"
#include "admin-service/cli/arguments.h"

namespace posthorn::cli {

inline constexpr char kCertsUsage[] =
    "certs init|ensure|renew|show [--dir DIR] [--hosts NAME,…] [--days N] [--force] [--ca]";

// Makes, renews or lists the certificates that our processes show each other; needs no
// admin-service.
absl::Status CertsCommand(const Arguments& arguments);

}  // namespace posthorn::cli
