#include "store-service/blob/segment_reader.h"

#include <algorithm>
#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

// Up to here a message is read and checked whole even when a part is asked for.
constexpr uint64_t kCheckWhole = uint64_t{64} * 1024;
constexpr uint64_t kReadAtOnce = uint64_t{1} << 20;

absl::Status BadBody(const Segment& segment, uint64_t place) {
  return base::DataLoss(
      base::StrCat(segment.path(), " at ", place, ": the body's checksum differs"));
}

struct Located {
  std::shared_ptr<Segment> segment;
  RecordHeader header;
  uint64_t place = 0;
};

absl::StatusOr<std::shared_ptr<Segment>> SegmentFor(SegmentSet& segments, const BlobRef& ref) {
  if (segments.IsDead(ref.key)) return base::NotFound("no such blob");
  return segments.Find(SegmentOf(ref.key));
}

absl::StatusOr<Located> Locate(SegmentSet& segments, const BlobRef& ref) {
  Located found;
  ASSIGN_OR_RETURN(found.segment, SegmentFor(segments, ref));
  ASSIGN_OR_RETURN(const auto header_and_place, found.segment->Locate(OffsetOf(ref.key)));
  std::tie(found.header, found.place) = header_and_place;
  if (found.header.length != ref.size) return base::NotFound("no such blob");
  return found;
}

absl::StatusOr<std::string> ReadExactly(Segment& segment, uint64_t at, uint64_t length) {
  std::string bytes(length, '\0');
  ASSIGN_OR_RETURN(const size_t got, segment.file().ReadAt(at, bytes));
  if (got < length) {
    return base::DataLoss(base::StrCat(segment.path(), " at ", at, ": the file is too short"));
  }
  return bytes;
}

// Header and body with one read, which is what nearly every message is.
absl::StatusOr<std::string> ReadSmall(Segment& segment, const BlobRef& ref, uint64_t place) {
  if (place + RecordSize(ref.size, 0) > segment.durable_end())
    return base::NotFound("no such blob");
  ASSIGN_OR_RETURN(std::string bytes, ReadExactly(segment, place, kHeaderBytes + ref.size));
  const std::optional<RecordHeader> header = DecodeHeader(bytes, segment.salt(), place);
  if (!header) {
    return base::DataLoss(base::StrCat(segment.path(), " at ", place, ": damaged header"));
  }
  if (header->kind != RecordKind::kMessage || header->length != ref.size) {
    return base::NotFound("no such blob");
  }
  bytes.erase(0, kHeaderBytes);
  if (base::Crc32c(bytes) != header->body_crc) return BadBody(segment, place);
  return bytes;
}

class SegmentBlobReader final : public BlobReader {
 public:
  SegmentBlobReader(SegmentSet& segments, uint64_t key, Located found)
      : segments_(segments), key_(key), found_(std::move(found)) {}

  absl::StatusOr<std::string> Next(size_t most) override {
    const uint64_t length = std::min<uint64_t>({most, kReadAtOnce, found_.header.length - done_});
    if (length == 0) return std::string();
    ASSIGN_OR_RETURN(std::string bytes,
                     ReadExactly(*found_.segment, found_.place + kHeaderBytes + done_, length));
    crc_ = base::Crc32c(bytes, crc_);
    done_ += length;
    if (done_ == found_.header.length && crc_ != found_.header.body_crc) {
      absl::Status status = BadBody(*found_.segment, found_.place);
      segments_.NoteDamage(SegmentOf(key_), OffsetOf(key_), std::string(base::Message(status)));
      return status;
    }
    return bytes;
  }

 private:
  SegmentSet& segments_;
  const uint64_t key_;
  const Located found_;
  uint64_t done_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace

absl::StatusOr<std::string> ReadBlob(SegmentSet& segments, const BlobRef& ref, uint64_t offset,
                                     uint64_t length) {
  if (offset > ref.size || length > ref.size - offset) {
    return base::Invalid("the range lies outside the message");
  }
  if (length == 0) length = ref.size - offset;
  if (ref.size <= kCheckWhole || length == ref.size) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Segment> segment, SegmentFor(segments, ref));
    const std::optional<uint64_t> place = segment->Place(OffsetOf(ref.key));
    if (!place || *place < kFirstRecord || *place % 8 != 0) return base::NotFound("no such blob");
    ASSIGN_OR_RETURN(std::string bytes, ReadSmall(*segment, ref, *place));
    if (length < bytes.size()) bytes = bytes.substr(offset, length);
    return bytes;
  }
  ASSIGN_OR_RETURN(const Located found, Locate(segments, ref));
  return ReadExactly(*found.segment, found.place + kHeaderBytes + offset, length);
}

absl::StatusOr<std::string> ReadBlobAux(SegmentSet& segments, const BlobRef& ref) {
  ASSIGN_OR_RETURN(const Located found, Locate(segments, ref));
  ASSIGN_OR_RETURN(std::string aux,
                   ReadExactly(*found.segment, found.place + kHeaderBytes + found.header.length,
                               found.header.aux_length));
  if (base::Crc32c(aux) != found.header.aux_crc) {
    return base::DataLoss(base::StrCat(found.segment->path(), " at ", found.place,
                                       ": the digest's checksum differs"));
  }
  return aux;
}

absl::StatusOr<std::unique_ptr<BlobReader>> OpenBlobReader(SegmentSet& segments,
                                                           const BlobRef& ref) {
  ASSIGN_OR_RETURN(Located found, Locate(segments, ref));
  return std::unique_ptr<BlobReader>(
      std::make_unique<SegmentBlobReader>(segments, ref.key, std::move(found)));
}

namespace {

// One segment of WalkBlobs.
class Walker {
 public:
  Walker(SegmentSet& segments, const std::function<bool(const BlobRecord&)>& visit,
         const std::function<void(uint64_t)>& pace)
      : segments_(segments), visit_(visit), pace_(pace) {}

  // False: `visit` wants no more.
  absl::StatusOr<bool> Walk(Segment& segment) {
    absl::Status failure;
    bool go_on = true;
    RETURN_IF_ERROR(segment.Walk([&](const Found& found) {
      if (found.damaged) {
        if (!Doubtful(segment, found)) {
          segments_.NoteDamage(segment.number(), found.offset,
                               base::StrCat("no record; skipped to ", found.resumed));
        }
        return true;
      }
      if (pace_) pace_(RecordSize(found.header));
      if (found.header.kind != RecordKind::kMessage) return true;
      const absl::StatusOr<bool> more = Visit(segment, found);
      if (!more.ok()) failure = more.status();
      go_on = more.value_or(false);
      return go_on;
    }));
    RETURN_IF_ERROR(failure);
    return go_on;
  }

 private:
  // Of a commit that the power cut short: nobody was answered. Should a row refer to it all the
  // same, it will miss it.
  static bool Doubtful(const Segment& segment, const Found& found) {
    return segment.doubtful() != 0 && found.offset >= segment.doubtful();
  }

  absl::StatusOr<bool> Visit(Segment& segment, const Found& found) {
    const uint64_t key = segment.number() << kBlobOffsetBits | found.original_offset;
    if (segments_.IsDead(key)) return true;
    const BlobRecord record{{key, found.header.length},
                            CheckRecord(segment.file(), found.offset, found.header)};
    const bool damaged = record.status.code() == absl::StatusCode::kDataLoss;
    if (!record.status.ok() && !damaged) return record.status;
    if (damaged && Doubtful(segment, found)) return true;
    if (damaged) {
      segments_.NoteDamage(segment.number(), found.original_offset,
                           std::string(base::Message(record.status)));
    }
    return visit_(record);
  }

  SegmentSet& segments_;
  const std::function<bool(const BlobRecord&)>& visit_;
  const std::function<void(uint64_t)>& pace_;
};

}  // namespace

absl::Status WalkBlobs(SegmentSet& segments, const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>& pace) {
  RETURN_IF_ERROR(segments.Refresh());
  Walker walker(segments, visit, pace);
  for (const uint64_t number : segments.Numbers()) {
    const absl::StatusOr<std::shared_ptr<Segment>> segment = segments.FindWhole(number);
    const absl::StatusCode code = segment.status().code();
    // Gone meanwhile, or known to be damaged: the others are worth reading.
    if (code == absl::StatusCode::kNotFound || code == absl::StatusCode::kDataLoss) continue;
    RETURN_IF_ERROR(segment.status());
    ASSIGN_OR_RETURN(const bool go_on, walker.Walk(**segment));
    if (!go_on) break;
  }
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
