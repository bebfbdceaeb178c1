#include "store-service/blob/local_blob_store.h"

#include <filesystem>
#include <map>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/appender.h"
#include "store-service/blob/compaction.h"
#include "store-service/blob/local_segment_set.h"
#include "store-service/blob/scrubber.h"
#include "store-service/blob/segment_reader.h"
#include "store-service/blob/segment_set.h"
#include "store-service/blob/segment_writer.h"
#include "store-service/blob/shared_segment_set.h"
#include "store-service/blob/upload_pool.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kMostBatch = 16 << 20;

std::unique_ptr<SegmentSet> MakeSegments(const LocalBlobOptions& options) {
  auto on_damage = options.on_damage ? options.on_damage : ReportDamage;
  if (options.registry == nullptr) {
    return std::make_unique<LocalSegmentSet>(*options.system, options.directory,
                                             std::move(on_damage));
  }
  return std::make_unique<SharedSegmentSet>(*options.system, options.directory,
                                            std::move(on_damage), *options.registry, options.writer,
                                            options.shared);
}

class LocalBlobStore final : public BlobStore {
 public:
  explicit LocalBlobStore(LocalBlobOptions options)
      : options_(std::move(options)), segments_(MakeSegments(options_)) {}
  LocalBlobStore(const LocalBlobStore&) = delete;
  LocalBlobStore& operator=(const LocalBlobStore&) = delete;
  ~LocalBlobStore() override {
    appender_.reset();
    uploads_.reset();
    if (loaded_) segments_->Close();
  }

  absl::Status Load() {
    RETURN_IF_ERROR(segments_->Load());
    loaded_ = true;
    std::vector<std::shared_ptr<Segment>> open = segments_->OpenOnes();
    std::shared_ptr<Segment> newest;
    if (!open.empty()) {
      newest = std::move(open.back());
      open.pop_back();
    }
    const int64_t roll_ms = options_.registry == nullptr ? 0 : options_.shared.roll_ms;
    uploads_ = std::make_unique<UploadPool>(*segments_, std::move(open), options_.most_uploads,
                                            options_.roll_bytes, roll_ms);
    writer_ = std::make_unique<SegmentWriter>(*segments_, std::move(newest), options_.roll_bytes,
                                              roll_ms);
    appender_ = std::make_unique<Appender>(
        *writer_, Appender::Limits{options_.most_waiting_bytes, kMostBatch}, options_.deliver);
    return absl::OkStatus();
  }

  void Append(std::string body, std::string aux, AppendDone done) override {
    appender_->Append(std::move(body), std::move(aux), std::move(done));
  }
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload() override { return uploads_->Begin(); }

  absl::StatusOr<std::string> Read(const BlobRef& ref, uint64_t offset, uint64_t length) override {
    return Reading(ref.key, [&] { return ReadBlob(*segments_, ref, offset, length); });
  }
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef& ref) override {
    return Reading(ref.key, [&] { return OpenBlobReader(*segments_, ref); });
  }
  absl::StatusOr<std::string> ReadAux(const BlobRef& ref) override {
    return Reading(ref.key, [&] { return ReadBlobAux(*segments_, ref); });
  }

  absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>& keys) override;
  absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>& pace) override {
    return WalkBlobs(*segments_, visit, pace);
  }
  std::vector<BlobDamage> Damage() override { return segments_->Damage(); }

  BlobStats Stats() override {
    BlobStats stats = appender_->Stats();
    const BlobStats stored = segments_->Stats();
    stats.segments = stored.segments;
    stats.bytes = stored.bytes;
    return stats;
  }

  BlobPlace Place() override {
    BlobPlace place;
    place.kind = options_.registry == nullptr ? "folder" : "shared folder";
    place.place = options_.directory;
    std::error_code error;
    const std::filesystem::space_info disk = std::filesystem::space(options_.directory, error);
    if (error) {
      place.unreachable = error.message();
      return place;
    }
    place.free_bytes = disk.available;
    place.size_bytes = disk.capacity;
    return place;
  }

 private:
  template <class Read>
  auto Reading(uint64_t key, const Read& read) -> decltype(read()) {
    auto result = read();
    const absl::StatusCode code = result.status().code();
    if (code == absl::StatusCode::kOk || code == absl::StatusCode::kInvalidArgument) return result;
    // Another store may have written more, or rewritten it.
    const absl::StatusOr<bool> renewed = segments_->Renew(SegmentOf(key));
    if (!renewed.ok()) return renewed.status();
    if (*renewed) result = read();
    if (result.status().code() == absl::StatusCode::kDataLoss) {
      segments_->NoteDamage(SegmentOf(key), OffsetOf(key),
                            std::string(base::Message(result.status())));
    }
    return result;
  }

  absl::StatusOr<bool> Free(const std::shared_ptr<Segment>& segment);

  const LocalBlobOptions options_;
  const std::unique_ptr<SegmentSet> segments_;
  bool loaded_ = false;
  std::mutex collector_;
  std::unique_ptr<UploadPool> uploads_;
  std::unique_ptr<SegmentWriter> writer_;
  std::unique_ptr<Appender> appender_;
};

absl::StatusOr<std::vector<uint64_t>> LocalBlobStore::Destroy(const std::vector<uint64_t>& keys) {
  const std::lock_guard one_at_a_time(collector_);
  segments_->AddDead(keys);
  RETURN_IF_ERROR(segments_->Tidy());
  std::map<uint64_t, std::vector<uint64_t>> by_segment;
  for (const uint64_t key : keys) by_segment[SegmentOf(key)].push_back(key);
  std::vector<uint64_t> gone;
  for (const auto& [number, wanted] : by_segment) {
    const absl::StatusOr<std::shared_ptr<Segment>> segment = segments_->Find(number);
    const bool missing = segment.status().code() == absl::StatusCode::kNotFound;
    // A file that cannot be used stays for a person with better tools.
    if (segment.status().code() == absl::StatusCode::kDataLoss) continue;
    if (!missing) RETURN_IF_ERROR(segment.status());
    bool freed = missing;
    if (!freed) {
      ASSIGN_OR_RETURN(freed, Free(*segment));
    }
    for (const uint64_t key : wanted) {
      const bool absent = !freed && (*segment)->Locate(OffsetOf(key)).status().code() ==
                                        absl::StatusCode::kNotFound;
      if (freed || absent) gone.push_back(key);
    }
  }
  return gone;
}

// True when nothing that is dead in `segment` has bytes on the disk any more.
absl::StatusOr<bool> LocalBlobStore::Free(const std::shared_ptr<Segment>& segment) {
  const SegmentSet::Holder holder = segments_->HolderOf(*segment);
  if (holder == SegmentSet::Holder::kOther) return false;
  const std::unordered_set<uint64_t> dead = segments_->DeadOf(segment->number());
  ASSIGN_OR_RETURN(const DeadShare share, MeasureDead(*segment, dead));
  if (share.damaged || share.dead_records == 0) return false;
  const double wanted = options_.rewrite_share * static_cast<double>(share.bytes);
  const bool worth_it = static_cast<double>(share.dead_bytes) >= wanted;
  if (holder == SegmentSet::Holder::kThis) {
    // Its owner ends it; a later call finds it sealed.
    if (worth_it && share.bytes >= options_.least_roll_bytes) {
      writer_->Roll();
      uploads_->Roll();
    }
    return false;
  }
  if (share.dead_records == share.records) {
    RETURN_IF_ERROR(segments_->Remove(segment));
    return true;
  }
  if (!worth_it) return false;
  ASSIGN_OR_RETURN(const SegmentSet::Form form, segments_->NextForm(*segment));
  ASSIGN_OR_RETURN(const std::shared_ptr<Segment> fresh, Rewrite(*segments_, *segment, dead, form));
  RETURN_IF_ERROR(segments_->Replace(fresh, form));
  segments_->DropDead(segment->number());
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobStore>> OpenLocalBlobStore(LocalBlobOptions options) {
  auto store = std::make_unique<LocalBlobStore>(std::move(options));
  RETURN_IF_ERROR(store->Load());
  return std::unique_ptr<BlobStore>(std::move(store));
}

}  // namespace posthorn::store_service
