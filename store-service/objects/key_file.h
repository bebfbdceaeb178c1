#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"

namespace posthorn::store_service {

// The 32 bytes of the key file at `path`; made, durable before this returns, when there is none and
// there is no `database` yet. kDataLoss: the database is there and its key is not, or the file has
// another length. The process's umask must keep others out.
absl::StatusOr<std::string> LoadOrMakeKey(file::FileSystem& files, const std::string& path,
                                          const std::string& database);

}  // namespace posthorn::store_service
