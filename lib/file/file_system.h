#pragma once

// Every file operation of store and queue goes through here, so that a test can record, fail and
// replay it. Invariants:
//  1. Nothing is durable before a Sync() of the file, and, for a new name, a SyncDirectory(),
//  returned OK.
//  2. Every sync carries a name, so that a test can leave out exactly one and must notice.
//  3. ENOSPC and EDQUOT are kResourceExhausted, ENOENT kNotFound, EEXIST kAlreadyExists, the rest
//  kUnavailable.
// All calls block; every object may be used from several threads at once.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace posthorn::file {

// Bytes of a file in memory. Views end with the object. The file may be unlinked meanwhile, but not
// truncated.
class Mapping {
 public:
  virtual ~Mapping() = default;
  std::string_view bytes() const { return bytes_; }

 protected:
  std::string_view bytes_;
};

class File {
 public:
  virtual ~File() = default;
  // Fills `out` from `offset`; returns how much there was (less only at the end of the file).
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) = 0;
  // Writes all pieces one after the other, or fails; after a failure any part of them may be
  // written.
  virtual absl::Status WriteAt(uint64_t offset, std::span<const std::string_view> pieces) = 0;
  absl::Status WriteAt(uint64_t offset, std::string_view bytes) {
    return WriteAt(offset, std::span<const std::string_view>(&bytes, 1));
  }
  // fdatasync. `name` is a literal.
  absl::Status Sync(std::string_view name);
  virtual absl::Status Truncate(uint64_t size) = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
  // `offset` and `length` need no alignment; the range must lie inside the file.
  virtual absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t offset, uint64_t length) = 0;

 protected:
  virtual absl::Status DoSync(std::string_view name) = 0;
  friend class Wrapper;
};

enum class Mode {
  kRead,
  kReadWrite,
  kCreate,     // made when missing
  kCreateNew,  // kAlreadyExists when there
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) = 0;
  // Makes created, renamed and removed names in `path` durable.
  absl::Status SyncDirectory(const std::string& path, std::string_view name);
  // Within one directory; replaces `to` at once.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Unlink(const std::string& path) = 0;
  // OK when it exists already. Only the last part of the path is made.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  // Names (not paths), sorted, without "." and "..".
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  // kNotFound when it does not exist.
  virtual absl::StatusOr<uint64_t> SizeOf(const std::string& path) = 0;

 protected:
  virtual absl::Status DoSyncDirectory(const std::string& path, std::string_view name) = 0;
  friend class Wrapper;
};

// What a FileSystem that wraps another one needs: the calls below its own.
class Wrapper {
 protected:
  static absl::Status SyncBelow(File& file, std::string_view name) { return file.DoSync(name); }
  static absl::Status SyncBelow(FileSystem& system, const std::string& path,
                                std::string_view name) {
    return system.DoSyncDirectory(path, name);
  }
};

// The machine's own files. Lives as long as the process.
FileSystem& Real();

// The whole file. kNotFound when missing.
absl::StatusOr<std::string> ReadWhole(FileSystem& system, const std::string& path);
// Replaces `path` so that a crash leaves the old or the new bytes: writes `path`.new, syncs it as
// "`name`.file", renames, syncs the directory as "`name`.dir". The caller owns the order of calls
// for one path.
absl::Status ReplaceAtomically(FileSystem& system, const std::string& path, std::string_view bytes,
                               std::string_view name);
// The directory part of `path` ("." when it has none).
std::string DirectoryOf(const std::string& path);

// Tests only (POSTHORN_TEST_HOOKS): syncs of this name are left out from now on; "" for none. The
// environment's POSTHORN_TEST_SKIP_SYNC does the same from the start. Without the hooks: no effect.
void SkipSyncForTest(std::string_view name);
bool HasTestHooks();

}  // namespace posthorn::file
