#include "store-service/blob/segment.h"

#include <algorithm>

#include "lib/base/crc32c.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kWindow = size_t{256} * 1024;

// Headers read through a window, so that a walk over small records costs few reads.
class Window {
 public:
  explicit Window(file::File& file) : file_(file) {}
  // Up to `size` bytes at `offset`; fewer only at the end of the file. Valid until the next call.
  absl::StatusOr<std::string_view> At(uint64_t offset, size_t size) {
    if (offset < start_ || offset + size > start_ + bytes_.size()) {
      bytes_.resize(std::max(kWindow, size));
      start_ = offset;
      ASSIGN_OR_RETURN(const size_t got, file_.ReadAt(offset, bytes_));
      bytes_.resize(got);
    }
    const std::string_view all = bytes_;
    return all.substr(std::min<uint64_t>(offset - start_, all.size()), size);
  }

 private:
  file::File& file_;
  uint64_t start_ = 0;
  std::string bytes_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Segment>> Segment::Create(file::FileSystem& system,
                                                         const std::string& path,
                                                         const SegmentHead& head) {
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> made, system.Open(path, file::Mode::kCreateNew));
  RETURN_IF_ERROR(made->WriteAt(0, EncodeSegmentHead(head)));
  return std::shared_ptr<Segment>(new Segment(std::move(made), path, head));
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::ReadHead(std::unique_ptr<file::File> file,
                                                           const std::string& path,
                                                           uint64_t number) {
  std::string bytes(kFirstRecord, '\0');
  ASSIGN_OR_RETURN(const size_t got, file->ReadAt(0, bytes));
  bytes.resize(got);
  const std::optional<SegmentHead> head = DecodeSegmentHead(bytes);
  if (!head || head->number != number) {
    return base::DataLoss(base::StrCat(path, ": the segment's head is damaged"));
  }
  return std::shared_ptr<Segment>(new Segment(std::move(file), path, *head));
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::OpenSealed(std::unique_ptr<file::File> file,
                                                             const std::string& path,
                                                             uint64_t number, uint64_t size) {
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, ReadHead(std::move(file), path, number));
  if (size != 0) {
    segment->durable_end_ = size;
    segment->Seal();
  }
  if (segment->generation() > 0) RETURN_IF_ERROR(segment->LoadMap());
  return segment;
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::Open(file::FileSystem& system,
                                                       const std::string& path, uint64_t number,
                                                       uint64_t sealed) {
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, system.Open(path, file::Mode::kReadWrite));
  return OpenSealed(std::move(opened), path, number, sealed);
}

absl::StatusOr<std::shared_ptr<Segment>> Segment::OpenOthers(file::FileSystem& system,
                                                             const std::string& path,
                                                             uint64_t number) {
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, system.Open(path, file::Mode::kReadWrite));
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment, ReadHead(std::move(opened), path, number));
  ASSIGN_OR_RETURN(const uint64_t size, segment->file_->Size());
  segment->durable_end_ = size;
  return segment;
}

absl::StatusOr<uint64_t> Segment::Resume(uint64_t from, uint64_t end) {
  Window window(*file_);
  for (uint64_t at = (from + 7) / 8 * 8; at + kHeaderBytes <= end; at += 8) {
    ASSIGN_OR_RETURN(const std::string_view bytes, window.At(at, kHeaderBytes));
    if (bytes.size() < kHeaderBytes) break;
    if (GetFixed32(bytes) == kRecordMagic && DecodeHeader(bytes, head_.salt, at)) return at;
  }
  return end;
}

absl::Status Segment::WalkBetween(uint64_t from, uint64_t end,
                                  const std::function<bool(const Found&)>& visit) {
  Window window(*file_);
  for (uint64_t at = from; at < end;) {
    ASSIGN_OR_RETURN(const std::string_view bytes, window.At(at, kHeaderBytes));
    const std::optional<RecordHeader> header = DecodeHeader(bytes, head_.salt, at);
    Found found{.offset = at, .original_offset = OriginalOf(at)};
    uint64_t next = 0;
    if (header && at + RecordSize(*header) <= end) {
      found.header = *header;
      next = at + RecordSize(*header);
    } else {
      ASSIGN_OR_RETURN(next, Resume(at + 8, end));
      found.damaged = true;
      found.resumed = next;
    }
    if (!visit(found)) break;
    at = next;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Segment::WholeBetween(uint64_t from, uint64_t to) {
  bool whole = true;
  absl::Status failure;
  RETURN_IF_ERROR(WalkBetween(from, to, [&](const Found& found) {
    if (found.damaged) {
      whole = false;
      return false;
    }
    const absl::Status status = CheckRecord(*file_, found.offset, found.header);
    if (status.code() == absl::StatusCode::kDataLoss) whole = false;
    if (!status.ok() && whole) failure = status;
    return whole && failure.ok();
  }));
  RETURN_IF_ERROR(failure);
  return whole;
}

absl::Status Segment::Examine(const std::function<void(const Found&)>& damage) {
  ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  uint64_t end = kFirstRecord;
  uint64_t batch_start = kFirstRecord;
  std::vector<Found> bad;
  RETURN_IF_ERROR(WalkBetween(kFirstRecord, size, [&](const Found& found) {
    if (found.damaged) bad.push_back(found);
    if (!found.damaged && found.header.kind == RecordKind::kCommit) {
      batch_start =
          found.offset - std::min(found.offset - kFirstRecord, found.header.original_length);
      end = found.offset + RecordSize(found.header);
    }
    return true;
  }));
  for (const Found& found : bad) {
    if (found.offset < batch_start) damage(found);
  }
  durable_end_ = end;
  ASSIGN_OR_RETURN(const bool whole, WholeBetween(batch_start, end));
  if (!whole) doubtful_ = batch_start;
  return absl::OkStatus();
}

absl::Status Segment::Recover(const std::function<void(const Found&)>& damage) {
  RETURN_IF_ERROR(Examine(damage));
  ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  if (size > durable_end()) RETURN_IF_ERROR(file_->Truncate(durable_end()));
  // A commit that was under way when the power went may have its mark on the disk, but not all of
  // its records. It cannot be told from damage, so it stays, and nothing is ever written behind it.
  if (doubtful_ != 0) Seal();
  // Whoever was killed may have written what was never synced: it is read from now on, so it must
  // not go with the next power loss.
  return file_->Sync("segment.recovered");
}

void Segment::CutBack() {
  // Left-over bytes could lie under a later, shorter commit and be taken for its neighbours.
  if (!file_->Truncate(durable_end()).ok()) Seal();
}

absl::Status Segment::Commit(std::vector<std::string_view> pieces, uint64_t bytes,
                             std::string_view sync_name) {
  const uint64_t start = durable_end();
  RecordHeader mark;
  mark.kind = RecordKind::kCommit;
  mark.original_length = bytes;
  const HeaderBytes encoded = EncodeHeader(mark, head_.salt, start + bytes);
  uint64_t written_by_others = bytes;
  for (const std::string_view piece : pieces) written_by_others -= piece.size();
  pieces.emplace_back(encoded.data(), encoded.size());
  if (absl::Status status = file_->WriteAt(start + written_by_others, pieces); !status.ok()) {
    CutBack();
    return status;
  }
  KILL_POINT("store.blob.written");
  if (absl::Status status = file_->Sync(sync_name); !status.ok()) {
    // The kernel has dropped the dirty pages: a second sync would say OK about bytes that are
    // nowhere.
    Seal();
    return status;
  }
  if (absl::Status status = fence_ ? fence_() : absl::OkStatus(); !status.ok()) {
    Seal();
    return status;
  }
  KILL_POINT("store.blob.durable");
  durable_end_.store(start + bytes + kHeaderBytes, std::memory_order_release);
  return absl::OkStatus();
}

// The map is the last record before the only commit mark; in a merged object it is the first.
absl::Status Segment::LoadMap() {
  if (!sealed()) {
    ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
    durable_end_ = size;
    Seal();
  }
  std::optional<Found> found_map;
  RETURN_IF_ERROR(Walk([&](const Found& found) {
    if (!found.damaged && found.header.kind == RecordKind::kMap) found_map = found;
    return !found_map;
  }));
  if (!found_map) return base::DataLoss(base::StrCat(path_, ": the map is missing"));
  std::string bytes(found_map->header.length, '\0');
  ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(found_map->offset + kHeaderBytes, bytes));
  if (got != bytes.size() || base::Crc32c(bytes) != found_map->header.body_crc) {
    return base::DataLoss(base::StrCat(path_, ": the map is damaged"));
  }
  for (std::string_view rest = bytes; rest.size() >= 16; rest.remove_prefix(16)) {
    map_.emplace_back(GetFixed64(rest), GetFixed64(rest.substr(8)));
    map_back_.emplace_back(map_.back().second, map_.back().first);
  }
  std::sort(map_.begin(), map_.end());
  std::sort(map_back_.begin(), map_back_.end());
  return absl::OkStatus();
}

namespace {
std::optional<uint64_t> Find(const std::vector<std::pair<uint64_t, uint64_t>>& map, uint64_t key) {
  const auto at = std::lower_bound(map.begin(), map.end(), std::pair<uint64_t, uint64_t>(key, 0));
  if (at == map.end() || at->first != key) return std::nullopt;
  return at->second;
}
}  // namespace

std::optional<uint64_t> Segment::Place(uint64_t original_offset) const {
  if (head_.generation == 0) return original_offset;
  return Find(map_, original_offset);
}

uint64_t Segment::OriginalOf(uint64_t offset) const {
  if (head_.generation == 0) return offset;
  return Find(map_back_, offset).value_or(0);
}

absl::StatusOr<std::pair<RecordHeader, uint64_t>> Segment::Locate(uint64_t original_offset) {
  const std::optional<uint64_t> place = Place(original_offset);
  if (!place || *place % 8 != 0 || *place + kHeaderBytes > durable_end()) {
    return base::NotFound("no such blob");
  }
  char bytes[kHeaderBytes];
  ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(*place, bytes));
  const auto header = DecodeHeader({bytes, got}, head_.salt, *place);
  if (!header) return base::DataLoss(base::StrCat(path_, " at ", *place, ": damaged header"));
  if (header->kind != RecordKind::kMessage || *place + RecordSize(*header) > durable_end()) {
    return base::NotFound("no such blob");
  }
  return std::pair(*header, *place);
}

absl::Status CheckRecord(file::File& file, uint64_t offset, const RecordHeader& header) {
  std::string buffer(std::min<uint64_t>(kWindow, std::max(header.length, uint64_t{1})), '\0');
  uint32_t crc = 0;
  for (uint64_t done = 0; done < header.length;) {
    const size_t want = std::min<uint64_t>(buffer.size(), header.length - done);
    ASSIGN_OR_RETURN(const size_t got,
                     file.ReadAt(offset + kHeaderBytes + done, {buffer.data(), want}));
    if (got < want) return base::DataLoss("the segment is shorter than its record");
    crc = base::Crc32c({buffer.data(), got}, crc);
    done += got;
  }
  if (crc != header.body_crc) return base::DataLoss("the body's checksum differs");
  std::string aux(header.aux_length, '\0');
  ASSIGN_OR_RETURN(const size_t got, file.ReadAt(offset + kHeaderBytes + header.length, aux));
  if (got < aux.size() || base::Crc32c(aux) != header.aux_crc) {
    return base::DataLoss("the digest's checksum differs");
  }
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
