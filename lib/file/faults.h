#pragma once

// A FileSystem that fails on demand. Tests only. Any thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "lib/file/file_system.h"

namespace posthorn::file {

class Faults final : public FileSystem, private Wrapper {
 public:
  explicit Faults(FileSystem& below) : below_(below) {}  // `below` outlives it

  // Of the changes (writes, truncations, syncs, names) the first `count` succeed, all later ones
  // are kUnavailable.
  void FailAfter(int64_t count) { left_ = count; }
  // Writes that grow a file by more than `bytes` altogether are kResourceExhausted; half of the one
  // that meets the limit is written, as a real disk may do.
  void DiskFull(int64_t bytes) { space_ = bytes; }
  // The next sync of this name fails, without syncing.
  void FailSync(std::string name);
  // Every ReadAt is kUnavailable.
  void FailReads() { reads_fail_ = true; }
  // All faults are over.
  void Clear();

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Unlink(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override;

 protected:
  absl::Status DoSyncDirectory(const std::string& path, std::string_view name) override;

 private:
  class FaultyFile;
  absl::Status Change();
  absl::Status Syncing(std::string_view name);

  static constexpr int64_t kNever = INT64_MAX / 2;
  FileSystem& below_;
  std::atomic<int64_t> left_{kNever};
  std::atomic<int64_t> space_{kNever};
  std::atomic<bool> reads_fail_{false};
  std::mutex mutex_;
  std::string failing_sync_;
};

}  // namespace posthorn::file
