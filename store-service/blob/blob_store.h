#pragma once

// Message bytes. Invariants:
//  1. A BlobRef is handed out only when its bytes are durable, and never changes or comes again.
//  2. Bytes disappear only by Destroy(), and only those named.
//  3. What cannot be read back whole is kDataLoss, never wrong bytes.
// Every method may be called from any thread. Uploads and readers end before the store does.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace posthorn::store_service {

// posthorn.common.v1.BlobId. `size` is the length of the message.
struct BlobRef {
  uint64_t key = 0;
  uint64_t size = 0;
  friend bool operator==(const BlobRef&, const BlobRef&) = default;
};

inline constexpr int kBlobOffsetBits = 40;
inline uint64_t SegmentOf(uint64_t key) { return key >> kBlobOffsetBits; }
inline uint64_t OffsetOf(uint64_t key) { return key & ((uint64_t{1} << kBlobOffsetBits) - 1); }

// Up to this size a message is gathered by the caller and appended at once; larger ones are
// uploaded.
inline constexpr uint64_t kSmallBlob = uint64_t{256} * 1024;

using AppendDone = std::function<void(absl::StatusOr<BlobRef>)>;
// One answered Append: call `done(std::move(result))`.
struct Completion {
  AppendDone done;
  absl::StatusOr<BlobRef> result;
};

// One large message on its way in. One thread at a time. Destroyed unfinished: as Abort().
class Upload {
 public:
  virtual ~Upload() = default;
  // Not durable yet. After an error only Abort() is left.
  virtual absl::Status Write(std::string_view chunk) = 0;
  // All that was written so far, for the digest; valid until Finish() or Abort().
  virtual absl::StatusOr<std::string_view> Written() = 0;
  // Blocks for one fdatasync. `aux` comes back from ReadAux().
  virtual absl::StatusOr<BlobRef> Finish(std::string_view aux) = 0;
  virtual void Abort() = 0;
};

// One message's bytes in order, in chunks; checks the checksum on the way. One thread at a time.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  // The next at most `most` bytes; empty at the end. kDataLoss instead of the last chunk when it
  // does not check.
  virtual absl::StatusOr<std::string> Next(size_t most) = 0;
};

// A record as the disk has it, for `store check`.
struct BlobRecord {
  BlobRef ref;
  absl::Status status;  // kDataLoss: body or aux does not check
};
struct BlobDamage {
  uint64_t segment = 0;
  uint64_t offset = 0;
  std::string what;
};

struct BlobStats {
  uint64_t segments = 0;
  uint64_t bytes = 0;
  uint64_t appends = 0;
  uint64_t commits = 0;
  uint64_t failed_commits = 0;
};

// Where the bytes lie, for `posthorn status`.
struct BlobPlace {
  std::string kind;  // "folder", "shared folder", "bucket"
  std::string place;
  std::optional<uint64_t> free_bytes;  // of its disk
  std::optional<uint64_t> size_bytes;
  std::string unreachable;  // why; empty: it answers
};

class BlobStore {
 public:
  virtual ~BlobStore() = default;

  // Appends a small message; `done` is called once, from the store's own thread (or as its batch
  // delivery says). kResourceExhausted: disk full; kUnavailable: anything else, nothing is kept.
  // `aux`: up to 1 MiB kept beside the body (the digest), durable with it.
  virtual void Append(std::string body, std::string aux, AppendDone done) = 0;
  // kResourceExhausted when too many are under way or the disk is full.
  virtual absl::StatusOr<std::unique_ptr<Upload>> BeginUpload() = 0;

  // `length` 0: to the end. Whole messages and small ones are checked against their checksum.
  // kNotFound: never existed or destroyed; kDataLoss: damaged; kInvalidArgument: range outside the
  // message.
  virtual absl::StatusOr<std::string> Read(const BlobRef& ref, uint64_t offset,
                                           uint64_t length) = 0;
  virtual absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef& ref) = 0;
  virtual absl::StatusOr<std::string> ReadAux(const BlobRef& ref) = 0;

  // The bytes of `keys` are final garbage: they read as kNotFound from now on, and space is freed
  // when that pays (whole segments at once, mostly dead ones rewritten). Blocks. Answers the keys
  // whose bytes are gone; the others are to be named again at the next call, and after a restart.
  // Call it daily even without keys: it also tidies up. Where several stores share the bytes, one
  // of them does it for all.
  virtual absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>& keys) = 0;

  // Every record in order of key, checked; stops when `visit` returns false. `pace` is called with
  // the bytes read since its last call and may sleep. Blocks.
  virtual absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                               const std::function<void(uint64_t)>& pace) = 0;
  // Damage known so far (found at start, by reads, by ForEach).
  virtual std::vector<BlobDamage> Damage() = 0;
  virtual BlobStats Stats() = 0;
  // Looks now; blocks, for some seconds when nothing answers.
  virtual BlobPlace Place() = 0;
};

}  // namespace posthorn::store_service
