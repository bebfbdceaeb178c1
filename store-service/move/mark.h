#pragma once

// The word in a store's folder that its installation lives in another database now.

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "lib/file/file_system.h"

namespace posthorn::store_service {

inline constexpr std::string_view kMovedFile = "moved-to-database";

// Durable when it returns OK. `url` has no password in it.
absl::Status MarkMoved(file::FileSystem& files, const std::string& data, std::string_view url);
absl::Status RemoveMovedMark(file::FileSystem& files, const std::string& data);
// kFailedPrecondition says where it moved to, and what to do.
absl::Status ExpectNotMoved(file::FileSystem& files, const std::string& data);

}  // namespace posthorn::store_service
