#pragma once

// The word by which a folder of message files is known again: the name of an empty file in it.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"

namespace posthorn::store_service {

absl::StatusOr<std::vector<std::string>> FolderIdentities(file::FileSystem& files,
                                                          const std::string& directory);
// A new one, durable when it returns.
absl::StatusOr<std::string> MakeFolderIdentity(file::FileSystem& files,
                                               const std::string& directory);
// The one it has; made when it has none.
absl::StatusOr<std::string> FolderIdentity(file::FileSystem& files, const std::string& directory);

}  // namespace posthorn::store_service
