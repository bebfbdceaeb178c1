#include "store-service/blob/s3/s3_blob_store.h"

#include <algorithm>
#include <mutex>
#include <random>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/blob_marks.h"
#include "store-service/blob/s3/object_writer.h"
#include "store-service/blob/scrubber.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kMostBatch = 8 << 20;
constexpr std::string_view kIdPrefix = "id-";
// Who looks whether the bucket answers waits so long at most, twice.
constexpr int64_t kLookMs = 2000;

class S3BlobStore final : public BlobStore {
 public:
  explicit S3BlobStore(S3BlobOptions options)
      : options_(std::move(options)),
        client_(options_.target, options_.timing),
        marks_(options_.on_damage ? options_.on_damage : ReportDamage),
        reader_(client_, options_.cache_bytes,
                [this](uint64_t segment, std::string what) {
                  marks_.NoteDamage(segment, 0, std::move(what));
                }),
        collection_(client_, reader_, *options_.registry, marks_, options_.merge),
        writer_(client_, reader_, *options_.registry, options_.writer),
        uploads_(client_, writer_, *options_.system, options_.spool, options_.uploads) {}

  absl::Status Load() {
    RETURN_IF_ERROR(uploads_.Load());
    ASSIGN_OR_RETURN(const std::string identity, CheckIdentity());
    if (!options_.disk_cache.empty() && options_.disk_cache_bytes != 0) {
      ASSIGN_OR_RETURN(std::unique_ptr<DiskCache> disk,
                       DiskCache::Open({.folder = options_.disk_cache,
                                        .word = identity,
                                        .bytes = options_.disk_cache_bytes,
                                        .system = options_.system}));
      reader_.SetDisk(std::move(disk));
    }
    appender_ = std::make_unique<Appender>(
        writer_, Appender::Limits{options_.most_waiting_bytes, kMostBatch, options_.commit_threads},
        options_.deliver);
    return absl::OkStatus();
  }

  void Append(std::string body, std::string aux, AppendDone done) override {
    appender_->Append(std::move(body), std::move(aux), std::move(done));
  }
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload() override { return uploads_.Begin(); }

  absl::StatusOr<std::string> Read(const BlobRef& ref, uint64_t offset, uint64_t length) override {
    return Reading(ref.key, [&] { return reader_.Read(ref, offset, length); });
  }
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef& ref) override {
    return Reading(ref.key, [&] { return reader_.OpenReader(ref); });
  }
  absl::StatusOr<std::string> ReadAux(const BlobRef& ref) override {
    return Reading(ref.key, [&] { return reader_.ReadAux(ref); });
  }

  absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>& keys) override {
    const std::lock_guard one_at_a_time(collector_);
    for (const uint64_t key : keys) reader_.Forget(key);
    return collection_.Destroy(keys);
  }
  absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>& pace) override {
    return collection_.ForEach(visit, pace);
  }
  std::vector<BlobDamage> Damage() override { return marks_.Damage(); }
  BlobStats Stats() override {
    BlobStats stats = appender_->Stats();
    const ObjectCollection::Totals totals = collection_.totals();
    stats.segments = totals.objects;
    stats.bytes = totals.bytes;
    return stats;
  }
  // One request that is not repeated: who asks waits.
  BlobPlace Place() override {
    const S3Target& target = options_.target;
    BlobPlace place;
    place.kind = "bucket";
    place.place = base::StrCat("s3://", target.bucket, "/", target.prefix, " at ", target.endpoint);
    S3Client once(target, {.connect_ms = kLookMs, .stall_ms = kLookMs, .give_up_ms = 0});
    const auto found = once.List(std::string(kIdPrefix));
    if (!found.ok()) place.unreachable = base::Message(found.status());
    return place;
  }

 private:
  absl::StatusOr<std::string> CheckIdentity();

  template <class Read>
  auto Reading(uint64_t key, const Read& read) -> decltype(read()) {
    if (marks_.IsDead(key)) return base::NotFound("no such blob");
    auto result = read();
    // Once more: it may have been the way, and not the bytes.
    if (result.status().code() == absl::StatusCode::kDataLoss) result = read();
    if (result.status().code() == absl::StatusCode::kDataLoss) {
      marks_.NoteDamage(SegmentOf(key), OffsetOf(key), std::string(base::Message(result.status())));
    }
    return result;
  }

  const S3BlobOptions options_;
  S3Client client_;
  BlobMarks marks_;
  ObjectReader reader_;
  ObjectCollection collection_;
  std::mutex collector_;
  ObjectWriter writer_;
  ObjectUploads uploads_;
  std::unique_ptr<Appender> appender_;
};

// As the shared folder's: the object's name is the word.
absl::StatusOr<std::string> S3BlobStore::CheckIdentity() {
  ASSIGN_OR_RETURN(std::string id, options_.registry->Identity(""));
  ASSIGN_OR_RETURN(std::vector<S3Object> ids, client_.List(std::string(kIdPrefix)));
  if (id.empty() && ids.empty()) {
    std::random_device random;
    std::string word;
    for (int i = 0; i < 8; ++i) word.push_back(static_cast<char>(random()));
    ids.push_back({.name = base::StrCat(kIdPrefix, base::Hex(word))});
    RETURN_IF_ERROR(client_.Put(ids.front().name, "posthorn\n"));
  }
  if (id.empty()) {
    ASSIGN_OR_RETURN(id, options_.registry->Identity(ids.front().name));
    ASSIGN_OR_RETURN(ids, client_.List(std::string(kIdPrefix)));
  }
  const auto same = [&](const S3Object& object) { return object.name == id; };
  if (std::any_of(ids.begin(), ids.end(), same)) return id;
  return base::Precondition(base::StrCat(
      "s3://", options_.target.bucket, "/", options_.target.prefix,
      " is not what the other stores use (", id, " is missing): is the prefix right?"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenS3BlobStore(S3BlobOptions options) {
  auto store = std::make_unique<S3BlobStore>(std::move(options));
  RETURN_IF_ERROR(store->Load());
  return std::unique_ptr<BlobStore>(std::move(store));
}

}  // namespace posthorn::store_service
