#pragma once

// One owner for a directory. The kernel lets go of it when the process dies, however it dies.

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace posthorn::file {

class DirectoryLock {
 public:
  // Takes the lock on `path`/lock; never waits. kUnavailable: somebody else, or another part of
  // this process, has it.
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Take(const std::string& path);
  ~DirectoryLock();  // lets go
  DirectoryLock(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace posthorn::file
