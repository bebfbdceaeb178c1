#include "store-service/events/event_store.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "posthorn/common/v1/common.pb.h"
#include "store-service/events/event_file.h"
#include "store-service/events/event_search.h"

namespace posthorn::store_service {
namespace {

using common::v1::Event;

class FileEventStore final : public EventStore {
 public:
  explicit FileEventStore(EventStoreOptions options) : options_(std::move(options)) {
    retention_days_ = options_.retention_days;
  }
  ~FileEventStore() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    thread_.join();
  }
  absl::Status Start() {
    RETURN_IF_ERROR(options_.system->MakeDirectory(options_.directory));
    RETURN_IF_ERROR(Expire(base::WallMillis()));
    thread_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Record(std::vector<Event> events) override;
  absl::StatusOr<EventResult> Search(const EventQuery& query) override;
  absl::Status Expire(int64_t now_ms) override;
  void SetRetention(int days) override {
    const std::lock_guard lock(mutex_);
    retention_days_ = days;
  }
  EventStats Stats() override {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  void Run();
  std::vector<Event> Collect(bool& stop, uint64_t& flush);
  void Write(const std::vector<Event>& events);
  void WriteBlock(std::string block, uint64_t count);
  absl::Status OpenDay(int64_t now_ms);
  void SyncNow();

  const EventStoreOptions options_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable flushed_;
  std::vector<Event> waiting_;
  uint64_t flush_wanted_ = 0;
  uint64_t flush_done_ = 0;
  bool stop_ = false;
  int retention_days_ = 0;
  EventStats stats_;

  // The writer's own.
  std::unique_ptr<file::File> file_;
  std::string file_name_;
  uint64_t end_ = 0;
  bool unsynced_ = false;
  std::thread thread_;
};

void FileEventStore::Record(std::vector<Event> events) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    wake = waiting_.empty();
    for (Event& event : events) {
      if (waiting_.size() >= options_.most_waiting) {
        ++stats_.dropped;
      } else {
        waiting_.push_back(std::move(event));
        ++stats_.recorded;
      }
    }
  }
  if (wake) work_.notify_one();
}

absl::StatusOr<EventResult> FileEventStore::Search(const EventQuery& query) {
  {
    std::unique_lock lock(mutex_);
    const uint64_t mine = ++flush_wanted_;
    work_.notify_one();
    flushed_.wait(lock, [&] { return flush_done_ >= mine; });
  }
  return SearchEvents(*options_.system, options_.directory, query);
}

absl::Status FileEventStore::Expire(int64_t now_ms) {
  int days = 0;
  {
    const std::lock_guard lock(mutex_);
    days = retention_days_;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, options_.system->List(options_.directory));
  for (const std::string& name : names) {
    const int64_t day = DayOfFileName(name);
    if (day < 0 || day >= now_ms / kDayMs - days) continue;
    RETURN_IF_ERROR(options_.system->Unlink(base::StrCat(options_.directory, "/", name)));
  }
  return absl::OkStatus();
}

// What there is to write; waits until a block's time is over, somebody searches, or a block is
// surely full.
std::vector<Event> FileEventStore::Collect(bool& stop, uint64_t& flush) {
  constexpr size_t kEnough = 2'000;
  std::unique_lock lock(mutex_);
  const auto urgent = [this] {
    return stop_ || flush_wanted_ > flush_done_ || waiting_.size() >= kEnough;
  };
  const auto idle = std::chrono::milliseconds(options_.sync_ms);
  work_.wait_for(lock, idle, [&] { return urgent() || !waiting_.empty(); });
  work_.wait_for(lock, std::chrono::milliseconds(waiting_.empty() ? 0 : options_.flush_ms), urgent);
  stop = stop_;
  flush = flush_wanted_;
  return std::exchange(waiting_, {});
}

void FileEventStore::Run() {
  int64_t synced_at = base::MonotonicMicros();
  for (bool stop = false; !stop;) {
    uint64_t flush = 0;
    Write(Collect(stop, flush));
    {
      const std::lock_guard lock(mutex_);
      flush_done_ = flush;
    }
    flushed_.notify_all();
    const int64_t now = base::MonotonicMicros();
    if (!stop && now - synced_at < options_.sync_ms * 1'000) continue;
    synced_at = now;
    SyncNow();
  }
}

void FileEventStore::SyncNow() {
  if (!std::exchange(unsynced_, false) || file_ == nullptr) return;
  // Events may be lost; what is wrong with the disk, others find out and say.
  if (!file_->Sync("events.block").ok()) file_.reset();
}

absl::Status FileEventStore::OpenDay(int64_t now_ms) {
  std::string name = DayFileName(now_ms);
  if (file_ != nullptr && name == file_name_) return absl::OkStatus();
  if (!file_name_.empty() && name != file_name_) RETURN_IF_ERROR(Expire(now_ms));
  file_.reset();
  const std::string path = base::StrCat(options_.directory, "/", name);
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened,
                   options_.system->Open(path, file::Mode::kCreate));
  // A torn end would stand in the way of nothing, but cost every search a look at it.
  RETURN_IF_ERROR(ListBlocks(*opened, end_).status());
  RETURN_IF_ERROR(opened->Truncate(end_));
  // On the writer's thread, and once a day: without it a power loss could cost all of the day.
  RETURN_IF_ERROR(options_.system->SyncDirectory(options_.directory, "events.day"));
  file_ = std::move(opened);
  file_name_ = std::move(name);
  return absl::OkStatus();
}

void FileEventStore::Write(const std::vector<Event>& events) {
  BlockBuilder builder;
  uint64_t count = 0;
  for (const Event& event : events) {
    if (!builder.Add(event)) {
      if (!builder.empty()) WriteBlock(builder.Finish(), std::exchange(count, 0));
      if (!builder.Add(event)) {
        const std::lock_guard lock(mutex_);
        ++stats_.dropped;  // larger than any block
        continue;
      }
    }
    ++count;
  }
  if (!builder.empty()) WriteBlock(builder.Finish(), count);
}

void FileEventStore::WriteBlock(std::string block, uint64_t count) {
  absl::Status status = OpenDay(base::WallMillis());
  if (status.ok()) status = file_->WriteAt(end_, block);
  if (status.ok()) {
    end_ += block.size();
    unsynced_ = true;
    return;
  }
  file_.reset();  // opening it again cuts what was written in part
  const std::lock_guard lock(mutex_);
  ++stats_.failed_writes;
  stats_.dropped += count;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventStore>> OpenEventStore(EventStoreOptions options) {
  auto store = std::make_unique<FileEventStore>(std::move(options));
  RETURN_IF_ERROR(store->Start());
  return std::unique_ptr<EventStore>(std::move(store));
}

}  // namespace posthorn::store_service
