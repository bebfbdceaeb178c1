#include "lib/certs/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "lib/base/strings.h"

namespace posthorn::certs {
namespace {

absl::Status Failed(const std::string& path) {
  return base::Unavailable(base::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

bool WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return fsync(fd) == 0;
}

void SyncFolder(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound(base::StrCat("cannot read ", path));
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

absl::Status ReplaceFile(const std::string& path, const std::string& text, mode_t mode) {
  struct stat old{};
  const bool there = stat(path.c_str(), &old) == 0;
  const std::string beside = path + ".new";
  unlink(beside.c_str());
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(beside);
  // Not root: whoever made the old one is who renews it.
  const bool owned = !there || old.st_uid == geteuid() || fchown(fd, old.st_uid, old.st_gid) == 0;
  const bool done =
      owned && WriteAll(fd, text) && fchmod(fd, there ? old.st_mode & 07777 : mode) == 0;
  const absl::Status status = done ? absl::OkStatus() : Failed(beside);
  close(fd);
  if (!done) {
    unlink(beside.c_str());
    return status;
  }
  if (rename(beside.c_str(), path.c_str()) != 0) return Failed(path);
  SyncFolder(path);
  return absl::OkStatus();
}

}  // namespace posthorn::certs
