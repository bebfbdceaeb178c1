#include "store-service/blob/shared_identity.h"

#include <random>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kIdPrefix = "id-";

std::string NewId() {
  std::random_device random;
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(random()));
  return base::StrCat(kIdPrefix, base::Hex(bytes));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FolderIdentities(file::FileSystem& files,
                                                          const std::string& directory) {
  ASSIGN_OR_RETURN(std::vector<std::string> ids, files.List(directory));
  std::erase_if(ids, [](const std::string& name) { return !name.starts_with(kIdPrefix); });
  return ids;
}

absl::StatusOr<std::string> MakeFolderIdentity(file::FileSystem& files,
                                               const std::string& directory) {
  std::string id = NewId();
  RETURN_IF_ERROR(files.Open(base::StrCat(directory, "/", id), file::Mode::kCreateNew).status());
  RETURN_IF_ERROR(files.SyncDirectory(directory, "store.id.dir"));
  return id;
}

absl::StatusOr<std::string> FolderIdentity(file::FileSystem& files, const std::string& directory) {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids, FolderIdentities(files, directory));
  if (ids.empty()) return MakeFolderIdentity(files, directory);
  // Whoever made it may have been killed before its name was durable.
  RETURN_IF_ERROR(files.SyncDirectory(directory, "store.id.dir"));
  return ids.front();
}

}  // namespace posthorn::store_service
