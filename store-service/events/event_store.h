#pragma once

// The trace's storage: small typed records, appended to files of one day each, found again by
// message id, address, text and time. Invariants:
//  1. It never fails the mail: Record() does not touch the disk, and drops (and counts) when it
//  cannot keep up.
//  2. Nothing is synced on the way; a background thread does so every few seconds. A crash loses
//  seconds.
//  3. Any damage or torn end costs the blocks it hits, never more.
// Any thread.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"

namespace posthorn::common::v1 {
class Event;
}

namespace posthorn::store_service {

struct EventStoreOptions {
  std::string directory;
  file::FileSystem* system = &file::Real();
  // Days that are kept, today not counted.
  int retention_days = 30;
  // Events waiting to be written; more are dropped.
  size_t most_waiting = 100'000;
  // How long a block collects before it is written.
  int64_t flush_ms = 1'000;
  int64_t sync_ms = 5'000;
};

struct EventQuery {
  std::string message_id;  // 16 bytes, or empty; also finds what this message begot
  std::string address;  // sender or recipient, any case, or "@domain" for all of a domain; or empty
  std::string text;  // part of the subject (ASCII case ignored), or the Message-ID header; or empty
  int64_t from_ms = 0;
  int64_t to_ms = 0;   // 0: no end
  uint32_t limit = 0;  // events; 0: 1,000
};
struct EventResult {
  // Ordered by time. With `address` or `text`: all events of the messages that were found; when
  // they are too many, whole messages are left out, oldest first.
  std::vector<common::v1::Event> events;
  bool truncated = false;
};

struct EventStats {
  uint64_t recorded = 0;
  uint64_t dropped = 0;
  uint64_t failed_writes = 0;
};

class EventStore {
 public:
  virtual ~EventStore() = default;  // writes what waits
  // Memory only.
  virtual void Record(std::vector<common::v1::Event> events) = 0;
  // Blocks on the disk: call it from a pool. What was recorded before is found.
  virtual absl::StatusOr<EventResult> Search(const EventQuery& query) = 0;
  // Removes days older than the retention.
  virtual absl::Status Expire(int64_t now_ms) = 0;
  virtual void SetRetention(int days) = 0;
  virtual EventStats Stats() = 0;
};

// Blocks while the directory is read; makes it when it is missing: its name is durable once the
// caller has synced the directory above.
absl::StatusOr<std::unique_ptr<EventStore>> OpenEventStore(EventStoreOptions options);

}  // namespace posthorn::store_service
