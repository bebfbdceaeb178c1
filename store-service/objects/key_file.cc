#include "store-service/objects/key_file.h"

#include <openssl/rand.h>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kKeyBytes = 32;

absl::StatusOr<std::string> MakeKey(file::FileSystem& files, const std::string& path) {
  std::string key(kKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kKeyBytes) != 1) {
    return base::Internal("no random bytes");
  }
  RETURN_IF_ERROR(file::ReplaceAtomically(files, path, key, "directory.key"));
  return key;
}

}  // namespace

absl::StatusOr<std::string> LoadOrMakeKey(file::FileSystem& files, const std::string& path,
                                          const std::string& database) {
  absl::StatusOr<std::string> key = file::ReadWhole(files, path);
  if (absl::IsNotFound(key.status())) {
    if (files.SizeOf(database).ok()) {
      return base::DataLoss(base::StrCat(database, " is there, but its key ", path, " is not"));
    }
    return MakeKey(files, path);
  }
  RETURN_IF_ERROR(key.status());
  if (key->size() != kKeyBytes) return base::DataLoss(base::StrCat(path, " is no key file"));
  return key;
}

}  // namespace posthorn::store_service
