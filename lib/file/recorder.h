#pragma once

// A FileSystem that does everything on real files and remembers in which order. The log of a run
// under one root is what Replay makes power losses of. Tests only. Any thread; the root must be
// empty at the start.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lib/file/file_system.h"

namespace posthorn::file {

struct Operation {
  enum class Kind {
    kCreate,
    kWrite,
    kTruncate,
    kSync,
    kRename,
    kUnlink,
    kMakeDirectory,
    kSyncDirectory,
    kMark
  };
  Kind kind = Kind::kMark;
  uint64_t file =
      0;  // which file, whatever its name is by now; for kCreate, kWrite, kTruncate, kSync
  std::string path;     // below the root; also the directory of kSyncDirectory
  std::string target;   // kRename: the new name
  uint64_t offset = 0;  // kWrite; kTruncate: the new size
  std::string data;     // kWrite; kMark: what the test said
  std::string name;     // kSync, kSyncDirectory: which
  uint64_t covers =
      0;  // kSync, kSyncDirectory: only operations before this index are surely covered
};

class Recorder final : public FileSystem, private Wrapper {
 public:
  // `root` without a slash at its end. `below` outlives it.
  Recorder(FileSystem& below, std::string root);
  ~Recorder() override;

  // Notes what was promised to somebody outside ("answered 250 for 17").
  void Mark(std::string text);
  std::vector<Operation> Log();

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override;

 protected:
  absl::Status DoSyncDirectory(const std::string& path, std::string_view name) override;

 private:
  class RecordedFile;
  std::string Below(const std::string& path) const;
  void Add(Operation operation);
  uint64_t Position();

  FileSystem& below_;
  const std::string root_;
  std::mutex mutex_;
  std::vector<Operation> log_;
  std::map<std::string, uint64_t> files_;  // by their present names
  uint64_t next_file_ = 1;
};

}  // namespace posthorn::file
