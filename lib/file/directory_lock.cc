#include "lib/file/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/strings.h"

namespace posthorn::file {

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Take(const std::string& path) {
  const std::string name = path + "/lock";
  const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return base::Unavailable(base::StrCat("open ", name, ": ", std::strerror(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) < 0) {
    const int error = errno;
    ::close(fd);
    return base::Unavailable(error == EWOULDBLOCK
                                 ? base::StrCat(path, " is in use by another process")
                                 : base::StrCat("lock ", name, ": ", std::strerror(error)));
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

}  // namespace posthorn::file
