#pragma once

// The files of a local journal, and where in them each live key's newest record lies. Reading is for any thread;
// everything else for the one that appends. All of it blocks.

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "delivery-queue/journal/journal.h"
#include "delivery-queue/journal/record.h"

namespace posthorn::file {
class File;
class FileSystem;
}  // namespace posthorn::file

namespace posthorn::delivery_queue {

struct NewRecord {
  RecordKind kind = RecordKind::kPut;
  EntryKey key;
  std::string body;
};

class JournalFiles {
 public:
  // A new file begins after `file_bytes`.
  JournalFiles(file::FileSystem& files, std::string directory, uint64_t file_bytes);
  // Reads what is there, removes what is finished, begins a new file. Call it first, once.
  absl::Status Load();

  // The newest record of a key. kNotFound when finished, kDataLoss when damaged.
  absl::StatusOr<std::string> Read(const EntryKey& key) const;
  std::vector<EntryKey> Keys() const;
  Journal::Usage usage() const;

  // Writes the batch and a commit mark behind it, durably. After an error nothing of it is ever read, and after a
  // failed sync the next batch begins a new file.
  absl::Status Append(std::span<const NewRecord> batch);
  // Removes the oldest files while they have no live records. When most of the closed files' bytes are dead, what
  // lives in the oldest one moves on, so that one old message never keeps everything behind it.
  void Reclaim();

 private:
  struct Place {
    uint32_t file = 0;
    uint32_t length = 0;
    uint64_t offset = 0;  // of the body
  };
  struct OpenFile {
    std::shared_ptr<file::File> file;
    uint64_t bytes = 0;
    uint64_t live_bytes = 0;
  };
  // What Reclaim decides by.
  struct Oldest {
    uint32_t number = 0;
    uint64_t live_bytes = 0;
    bool mostly_dead = false;  // all closed files together
  };

  std::string PathOf(uint32_t number) const;
  absl::Status LoadFile(uint32_t number);
  static absl::StatusOr<std::string> ReadBody(file::File& from, const Place& place);
  void Forget(const EntryKey& key);
  void Remember(const EntryKey& key, Place place);
  absl::Status Roll();
  absl::Status Remove(uint32_t number);
  absl::Status WriteBatch(const std::string& bytes);
  void Apply(std::span<const NewRecord> batch, uint64_t offset);
  // Nothing when only the current file is left.
  std::optional<Oldest> FindOldest() const;
  absl::Status Rewrite(uint32_t number);

  file::FileSystem& files_;
  const std::string directory_;
  const uint64_t file_bytes_;

  mutable std::mutex mutex_;  // readers on any thread, the appender writes
  std::unordered_map<EntryKey, Place> places_;
  std::map<uint32_t, OpenFile> open_;
  uint32_t current_ = 0;
  // Appender only.
  uint64_t offset_ = 0;  // where the next batch goes
  bool sealed_ = false;  // a sync failed, the next batch begins a new file
};

}  // namespace posthorn::delivery_queue
