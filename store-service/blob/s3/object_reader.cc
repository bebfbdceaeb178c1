#include "store-service/blob/s3/object_reader.h"

#include <algorithm>
#include <utility>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

// Up to here a message is fetched whole, checked and kept.
constexpr uint64_t kWhole = uint64_t{1} << 20;
// Fetched behind a body: most digests are shorter.
constexpr uint64_t kAuxGuess = 4096;
constexpr uint64_t kMapGuess = 64 * 1024;
constexpr uint64_t kReadAhead = uint64_t{4} << 20;

absl::Status NoBlob() { return base::NotFound("no such blob"); }

absl::Status Damaged(const std::string& object, uint64_t at, std::string_view what) {
  return base::DataLoss(base::StrCat(object, " at ", at, ": ", what));
}

absl::StatusOr<RecordHeader> HeaderIn(std::string_view bytes, const BlobRef& ref, uint32_t salt,
                                      const std::string& object, uint64_t at) {
  if (bytes.empty()) return NoBlob();
  const std::optional<RecordHeader> header = DecodeHeader(bytes, salt, at);
  if (!header) return Damaged(object, at, "damaged header");
  if (header->kind != RecordKind::kMessage || header->length != ref.size) return NoBlob();
  return *header;
}

class ObjectBlobReader final : public BlobReader {
 public:
  ObjectBlobReader(ObjectReader& reader, const BlobRef& ref, ObjectReader::Place place)
      : reader_(reader), ref_(ref), place_(std::move(place)) {}

  absl::StatusOr<std::string> Next(size_t most) override {
    if (used_ == ahead_.size()) {
      const uint64_t length = std::min(kReadAhead, place_.header.length - done_);
      if (length == 0) return std::string();
      ASSIGN_OR_RETURN(ahead_, ReadAhead(length));
      used_ = 0;
      done_ += length;
      crc_ = base::Crc32c(ahead_, crc_);
    }
    const size_t length = std::min(most, ahead_.size() - used_);
    const bool last = done_ == place_.header.length && used_ + length == ahead_.size();
    if (last && crc_ != place_.header.body_crc) {
      return Damaged(place_.object, place_.offset, "the body's checksum differs");
    }
    used_ += length;
    return ahead_.substr(used_ - length, length);
  }

 private:
  absl::StatusOr<std::string> ReadAhead(uint64_t length) {
    absl::StatusOr<std::string> part =
        reader_.ReadExactly(place_.object, place_.offset + kHeaderBytes + done_, length);
    if (!absl::IsNotFound(part.status())) return part;
    // It was merged since, and its object deleted.
    ASSIGN_OR_RETURN(place_, reader_.Locate(ref_));
    return reader_.ReadExactly(place_.object, place_.offset + kHeaderBytes + done_, length);
  }

  ObjectReader& reader_;
  const BlobRef ref_;
  ObjectReader::Place place_;
  std::string ahead_;
  size_t used_ = 0;
  uint64_t done_ = 0;
  uint32_t crc_ = 0;
};

// One that is in memory already.
class StringReader final : public BlobReader {
 public:
  explicit StringReader(std::string body) : body_(std::move(body)) {}
  absl::StatusOr<std::string> Next(size_t most) override {
    std::string part = body_.substr(done_, most);
    done_ += part.size();
    return part;
  }

 private:
  const std::string body_;
  size_t done_ = 0;
};

}  // namespace

absl::StatusOr<uint32_t> ObjectReader::SaltOf(uint64_t segment) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = salts_.find(segment); at != salts_.end()) return at->second;
  }
  const std::string name = SegmentObject(segment);
  ASSIGN_OR_RETURN(const S3Range range, client_.Get(name, 0, kFirstRecord));
  const std::optional<SegmentHead> head = DecodeSegmentHead(range.bytes);
  if (!head || head->number != segment) return Damaged(name, 0, "damaged head");
  const std::lock_guard lock(mutex_);
  salts_[segment] = head->salt;
  return head->salt;
}

absl::StatusOr<uint32_t> ObjectReader::SaltFor(const UnitName& written) {
  const absl::StatusOr<uint32_t> salt = SaltOf(written.segment);
  const bool lost =
      absl::IsNotFound(salt.status()) || salt.status().code() == absl::StatusCode::kDataLoss;
  if (!lost) return salt;
  ASSIGN_OR_RETURN(const S3Range range, client_.Get(NameOf(written), 0, kFirstRecord));
  const std::optional<SegmentHead> head = DecodeSegmentHead(range.bytes);
  if (!head || head->number != ObjectNumber(written.segment, written.first)) return salt;
  on_lost_salt_(written.segment, base::StrCat(SegmentObject(written.segment),
                                              " is lost: ", base::Message(salt.status())));
  const std::lock_guard lock(mutex_);
  salts_[written.segment] = head->salt;
  return head->salt;
}

absl::Status ObjectReader::LookForPacks(uint64_t segment) {
  std::vector<UnitName> packs;
  ASSIGN_OR_RETURN(const std::vector<S3Object> objects, client_.List(PacksOf(segment)));
  for (const S3Object& object : objects) {
    if (std::optional<UnitName> unit = ParseUnitName(object.name)) packs.push_back(*unit);
  }
  // The newest first.
  std::stable_sort(packs.begin(), packs.end(), [](const UnitName& a, const UnitName& b) {
    return a.generation > b.generation;
  });
  const std::lock_guard lock(mutex_);
  packs_[segment] = std::move(packs);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const PackMap>> ObjectReader::MapOf(const UnitName& pack) {
  const std::string name = NameOf(pack);
  if (std::shared_ptr<const PackMap> known = maps_.Find(name)) return known;
  PackStart start;
  uint64_t length = kMapGuess;
  for (bool enough = false; !enough; length = start.needed) {
    ASSIGN_OR_RETURN(const S3Range range, client_.Get(name, 0, length));
    ASSIGN_OR_RETURN(start, DecodePackStart(range.bytes, ObjectNumber(pack.segment, pack.first),
                                            range.object_size));
    enough = start.needed == 0;
    if (!enough && start.needed <= length) return Damaged(name, 0, "the object is too short");
  }
  const size_t bytes = start.map.places.size() * 16 + start.map.sources.size() * 64 + 256;
  auto map = std::make_shared<const PackMap>(std::move(start.map));
  maps_.Put(name, map, bytes);
  return map;
}

std::vector<UnitName> ObjectReader::PacksOver(uint64_t key) {
  const std::lock_guard lock(mutex_);
  std::vector<UnitName> over;
  const auto at = packs_.find(SegmentOf(key));
  if (at == packs_.end()) return over;
  for (const UnitName& pack : at->second) {
    if (pack.first <= IndexOf(key) && IndexOf(key) <= pack.last) over.push_back(pack);
  }
  return over;
}

// Tries where the bytes are known to have been moved to, then where they were written; and once
// more with a new list when they are nowhere.
template <class Fetch>
auto ObjectReader::Fetching(uint64_t key, const Fetch& fetch) -> decltype(fetch("", 0, 0)) {
  for (int round = 0;; ++round) {
    for (const UnitName& pack : PacksOver(key)) {
      const auto map = MapOf(pack);
      if (absl::IsNotFound(map.status())) continue;  // merged again
      RETURN_IF_ERROR(map.status());
      const auto& places = (*map)->places;
      const auto at =
          std::lower_bound(places.begin(), places.end(), std::pair(OffsetOf(key), uint64_t{0}));
      if (at == places.end() || at->first != OffsetOf(key)) continue;
      auto result = fetch(NameOf(pack), at->second, (*map)->salt);
      if (!absl::IsNotFound(result.status())) return result;
      maps_.Erase(NameOf(pack));
    }
    const UnitName written{.segment = SegmentOf(key), .first = IndexOf(key), .last = IndexOf(key)};
    const absl::StatusOr<uint32_t> salt = SaltFor(written);
    auto result = salt.ok() ? fetch(NameOf(written), PlaceOf(key), *salt)
                            : decltype(fetch("", 0, 0))(salt.status());
    if (!absl::IsNotFound(result.status()) || round == 1) return result;
    RETURN_IF_ERROR(LookForPacks(SegmentOf(key)));
  }
}

absl::StatusOr<std::string> ObjectReader::ReadExactly(const std::string& object, uint64_t at,
                                                      uint64_t length) {
  if (length == 0) return std::string();
  ASSIGN_OR_RETURN(S3Range range, client_.Get(object, at, length));
  if (range.bytes.size() < length) return Damaged(object, at, "the object is too short");
  return std::move(range.bytes);
}

absl::StatusOr<ObjectReader::Record> ObjectReader::FetchRecord(const BlobRef& ref,
                                                               const std::string& object,
                                                               uint64_t at, uint32_t salt) {
  ASSIGN_OR_RETURN(S3Range range, client_.Get(object, at, kHeaderBytes + ref.size + kAuxGuess));
  ASSIGN_OR_RETURN(const RecordHeader header, HeaderIn(range.bytes, ref, salt, object, at));
  const uint64_t whole = kHeaderBytes + header.length + header.aux_length;
  if (range.bytes.size() < whole) {
    ASSIGN_OR_RETURN(const std::string rest,
                     ReadExactly(object, at + range.bytes.size(), whole - range.bytes.size()));
    range.bytes += rest;
  }
  Record record{.body = range.bytes.substr(kHeaderBytes, header.length),
                .aux = range.bytes.substr(kHeaderBytes + header.length, header.aux_length)};
  if (base::Crc32c(record.body) != header.body_crc) {
    return Damaged(object, at, "the body's checksum differs");
  }
  if (base::Crc32c(record.aux) != header.aux_crc) {
    return Damaged(object, at, "the digest's checksum differs");
  }
  return record;
}

absl::StatusOr<std::shared_ptr<const ObjectReader::Record>> ObjectReader::ReadRecord(
    const BlobRef& ref) {
  if (std::shared_ptr<const Record> known = records_.Find(ref)) return known;
  ASSIGN_OR_RETURN(Record record,
                   Fetching(ref.key, [&](const std::string& object, uint64_t at, uint32_t salt) {
                     return FetchRecord(ref, object, at, salt);
                   }));
  return records_.Put(ref, std::move(record));
}

void ObjectReader::Keep(const BlobRef& ref, std::string body, std::string aux) {
  records_.PutInMemory(ref, {std::move(body), std::move(aux)});
}

absl::StatusOr<ObjectReader::Place> ObjectReader::FetchHeader(const BlobRef& ref,
                                                              const std::string& object,
                                                              uint64_t at, uint32_t salt) {
  ASSIGN_OR_RETURN(const S3Range range, client_.Get(object, at, kHeaderBytes));
  ASSIGN_OR_RETURN(const RecordHeader header, HeaderIn(range.bytes, ref, salt, object, at));
  return Place{object, at, header};
}

absl::StatusOr<ObjectReader::Place> ObjectReader::Locate(const BlobRef& ref) {
  return Fetching(ref.key, [&](const std::string& object, uint64_t at, uint32_t salt) {
    return FetchHeader(ref, object, at, salt);
  });
}

absl::StatusOr<std::string> ObjectReader::ReadPart(const BlobRef& ref, uint64_t offset,
                                                   uint64_t length) {
  return Fetching(
      ref.key,
      [&](const std::string& object, uint64_t at, uint32_t salt) -> absl::StatusOr<std::string> {
        RETURN_IF_ERROR(FetchHeader(ref, object, at, salt).status());
        return ReadExactly(object, at + kHeaderBytes + offset, length);
      });
}

absl::StatusOr<std::string> ObjectReader::Read(const BlobRef& ref, uint64_t offset,
                                               uint64_t length) {
  if (offset > ref.size || length > ref.size - offset) {
    return base::Invalid("the range lies outside the message");
  }
  if (length == 0) length = ref.size - offset;
  if (ref.size <= kWhole) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Record> record, ReadRecord(ref));
    return record->body.substr(offset, length);
  }
  if (length < ref.size) return ReadPart(ref, offset, length);
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobReader> reader, OpenReader(ref));
  std::string body;
  while (body.size() < ref.size) {
    ASSIGN_OR_RETURN(const std::string part, reader->Next(kReadAhead));
    body += part;
  }
  return body;
}

absl::StatusOr<std::string> ObjectReader::ReadAux(const BlobRef& ref) {
  if (ref.size <= kWhole) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Record> record, ReadRecord(ref));
    return record->aux;
  }
  return Fetching(
      ref.key,
      [&](const std::string& object, uint64_t at, uint32_t salt) -> absl::StatusOr<std::string> {
        ASSIGN_OR_RETURN(const Place place, FetchHeader(ref, object, at, salt));
        ASSIGN_OR_RETURN(std::string aux, ReadExactly(object, at + kHeaderBytes + ref.size,
                                                      place.header.aux_length));
        if (base::Crc32c(aux) != place.header.aux_crc) {
          return Damaged(object, at, "the digest's checksum differs");
        }
        return aux;
      });
}

absl::StatusOr<std::unique_ptr<BlobReader>> ObjectReader::OpenReader(const BlobRef& ref) {
  if (ref.size <= kWhole) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Record> record, ReadRecord(ref));
    return std::unique_ptr<BlobReader>(std::make_unique<StringReader>(record->body));
  }
  ASSIGN_OR_RETURN(Place place, Locate(ref));
  return std::unique_ptr<BlobReader>(
      std::make_unique<ObjectBlobReader>(*this, ref, std::move(place)));
}

}  // namespace posthorn::store_service
