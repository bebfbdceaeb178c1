#include "store-service/objects/key_file.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kKeyBytes = 32;

// Several stores may share the folder and start for the first time at once: one makes the key.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ >= 0) flock(fd_, LOCK_EX);
  }
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;

 private:
  const int fd_;
};

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
    const FolderLock lock(file::DirectoryOf(path));
    key = file::ReadWhole(files, path);
    if (absl::IsNotFound(key.status())) return MakeKey(files, path);
  }
  RETURN_IF_ERROR(key.status());
  if (key->size() != kKeyBytes) return base::DataLoss(base::StrCat(path, " is no key file"));
  return key;
}

}  // namespace posthorn::store_service
