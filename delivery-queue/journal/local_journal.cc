#include "delivery-queue/journal/local_journal.h"

#include <openssl/rand.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "delivery-queue/journal/record.h"
#include "lib/base/crc32c.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

constexpr std::chrono::milliseconds kSoon{10};
constexpr std::chrono::milliseconds kRidesAtMost{1000};
constexpr size_t kBatchBytes = 8U << 20;

struct Place {
  uint32_t file = 0;
  uint32_t length = 0;
  uint64_t offset = 0;  // of the body
};

struct Op {
  RecordKind kind = RecordKind::kPut;
  EntryKey key;
  std::string record;
  Journal::Stored stored;
};

struct JournalFile {
  std::shared_ptr<file::File> file;
  uint64_t bytes = 0;
  uint64_t live_bytes = 0;
};

class LocalJournal : public Journal {
 public:
  LocalJournal(net::Loop& loop, file::FileSystem& files, LocalJournalOptions options)
      : loop_(loop), files_(files), options_(std::move(options)) {}

  ~LocalJournal() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (appender_.joinable()) appender_.join();
  }

  absl::Status Open() {
    RETURN_IF_ERROR(files_.MakeDirectory(options_.directory));
    RETURN_IF_ERROR(files_.SyncDirectory(file::DirectoryOf(options_.directory), "journal.parent"));
    RETURN_IF_ERROR(LoadId());
    RETURN_IF_ERROR(LoadFiles());
    appender_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Put(EntryKey key, std::string record, Stored stored) override {
    Add({RecordKind::kPut, key, std::move(record), std::move(stored)}, std::chrono::milliseconds(0));
  }
  void Done(EntryKey key, Urgency urgency) override {
    Add({RecordKind::kDone, key, {}, {}}, urgency == Urgency::kSoon ? kSoon : kRidesAtMost);
  }

  absl::StatusOr<std::string> Read(EntryKey key) override {
    Place place;
    std::shared_ptr<file::File> from;
    {
      const std::lock_guard lock(places_mutex_);
      const auto found = places_.find(key);
      if (found == places_.end()) return base::NotFound("not in the journal");
      place = found->second;
      from = open_files_.at(place.file).file;
    }
    return ReadBody(*from, place);
  }

  absl::Status ForEach(const std::function<void(EntryKey, std::string)>& visit) override {
    std::vector<EntryKey> keys;
    {
      const std::lock_guard lock(places_mutex_);
      for (const auto& [key, place] : places_) keys.push_back(key);
    }
    for (const EntryKey& key : keys) {
      absl::StatusOr<std::string> record = Read(key);
      if (record.ok()) {
        visit(key, *std::move(record));
      } else {
        observe::Error("queue.journal.damaged", {{"message", key.message.ToString()},
                                                 {"status", record.status().ToString()}});
      }
    }
    return absl::OkStatus();
  }

  std::string id() const override { return id_; }

  Usage usage() const override {
    const std::lock_guard lock(places_mutex_);
    Usage usage;
    usage.files = open_files_.size();
    for (const auto& [number, open] : open_files_) usage.bytes += open.bytes;
    return usage;
  }

 private:
  std::string PathOf(uint32_t number) const {
    std::string digits = std::to_string(number);
    return base::StrCat(options_.directory, "/", std::string(8 - std::min<size_t>(8, digits.size()), '0'), digits,
                        ".journal");
  }

  absl::Status LoadId() {
    const std::string path = options_.directory + "/id";
    absl::StatusOr<std::string> stored = file::ReadWhole(files_, path);
    if (stored.ok() && stored->size() == 16) {
      id_ = *std::move(stored);
      return absl::OkStatus();
    }
    id_.resize(16);
    RAND_bytes(reinterpret_cast<uint8_t*>(id_.data()), 16);
    return file::ReplaceAtomically(files_, path, id_, "journal.id");
  }

  absl::Status LoadFiles() {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(options_.directory));
    for (const std::string& name : names) {
      if (!name.ends_with(".journal")) continue;
      const std::optional<uint32_t> number = base::ParseInt<uint32_t>(std::string_view(name).substr(0, 8));
      if (!number) continue;
      current_ = std::max(current_, *number);
      RETURN_IF_ERROR(LoadFile(*number));
    }
    // Before anything older is dropped for what was read: a kill leaves names and bytes that only the cache holds.
    if (!open_files_.empty())
      RETURN_IF_ERROR(files_.SyncDirectory(options_.directory, "journal.recovered.dir"));
    while (!open_files_.empty() && open_files_.begin()->second.live_bytes == 0)
      RETURN_IF_ERROR(Remove(open_files_.begin()->first));
    return Roll();
  }

  absl::Status LoadFile(uint32_t number) {
    ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, files_.Open(PathOf(number), file::Mode::kReadWrite));
    RETURN_IF_ERROR(opened->Sync("journal.recovered"));
    ASSIGN_OR_RETURN(const std::string bytes, file::ReadWhole(files_, PathOf(number)));
    open_files_[number] = {std::move(opened), bytes.size(), 0};
    RecordScan scan(bytes);
    while (const std::optional<FoundRecord> found = scan.Next()) {
      const RecordHeader& header = found->header;
      if (header.kind == RecordKind::kCommit) continue;
      if (found->damaged) {
        observe::Error("queue.journal.damaged", {{"file", PathOf(number)}, {"offset", found->offset}});
        continue;
      }
      Forget(header.key);
      if (header.kind == RecordKind::kPut)
        Remember(header.key, {number, header.length, found->offset + kRecordHeader});
    }
    return absl::OkStatus();
  }

  // Both under places_mutex_, or before the appender runs.
  void Forget(const EntryKey& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    open_files_[found->second.file].live_bytes -= found->second.length + kRecordHeader;
    places_.erase(found);
  }
  void Remember(const EntryKey& key, Place place) {
    open_files_[place.file].live_bytes += place.length + kRecordHeader;
    places_[key] = place;
  }

  static absl::StatusOr<std::string> ReadBody(file::File& from, const Place& place) {
    std::string raw(place.length + kRecordHeader, '\0');
    ASSIGN_OR_RETURN(const size_t n, from.ReadAt(place.offset - kRecordHeader, raw));
    const std::optional<RecordHeader> header = ParseHeader(raw);
    const std::string_view body = std::string_view(raw).substr(kRecordHeader);
    if (n != raw.size() || !header || base::Crc32c(body) != header->body_crc)
      return base::DataLoss("journal record is damaged");
    return std::string(body);
  }

  absl::Status Roll() {
    const uint32_t next = current_ + 1;
    ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, files_.Open(PathOf(next), file::Mode::kCreateNew));
    RETURN_IF_ERROR(files_.SyncDirectory(options_.directory, "journal.directory"));
    const std::lock_guard lock(places_mutex_);
    current_ = next;
    offset_ = 0;
    open_files_[next] = {std::move(opened), 0, 0};
    return absl::OkStatus();
  }

  absl::Status Remove(uint32_t number) {
    {
      const std::lock_guard lock(places_mutex_);
      open_files_.erase(number);
    }
    RETURN_IF_ERROR(files_.Unlink(PathOf(number)));
    // Before a newer file goes: should this one come back after a crash, what finished its keys must be there.
    return files_.SyncDirectory(options_.directory, "journal.removed");
  }

  void Add(Op op, std::chrono::milliseconds within) {
    const auto start = std::chrono::steady_clock::now() + within;
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      ops_.push_back(std::move(op));
      wake = start < start_at_;
      start_at_ = std::min(start_at_, start);
    }
    if (wake) wake_.notify_one();
  }

  void Run();
  std::vector<Op> WaitForBatch();
  absl::Status Commit(const std::vector<Op>& batch);
  absl::Status WriteBatch(const std::string& bytes);
  void Apply(const std::vector<Op>& batch, uint64_t offset);
  void Answer(std::vector<Op> batch, const absl::Status& status);
  void Reclaim();
  absl::Status Rewrite(uint32_t number);

  net::Loop& loop_;
  file::FileSystem& files_;
  const LocalJournalOptions options_;
  std::string id_;

  mutable std::mutex places_mutex_;  // readers on any thread, the appender writes
  std::unordered_map<EntryKey, Place> places_;
  std::map<uint32_t, JournalFile> open_files_;
  uint32_t current_ = 0;
  uint64_t offset_ = 0;  // appender only: where the next batch goes
  bool sealed_ = false;  // appender only: a sync failed, the next batch begins a new file

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Op> ops_;
  std::chrono::steady_clock::time_point start_at_ = std::chrono::steady_clock::time_point::max();
  bool stopping_ = false;
  std::thread appender_;
};

void LocalJournal::Run() {
  for (;;) {
    std::vector<Op> batch = WaitForBatch();
    if (batch.empty()) return;
    const absl::Status status = Commit(batch);
    if (!status.ok()) observe::Error("queue.journal.failed", {{"status", status.ToString()}});
    Answer(std::move(batch), status);
    Reclaim();
  }
}

std::vector<Op> LocalJournal::WaitForBatch() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && std::chrono::steady_clock::now() < start_at_) {
    if (start_at_ == std::chrono::steady_clock::time_point::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, start_at_);
    }
  }
  start_at_ = std::chrono::steady_clock::time_point::max();
  std::vector<Op> batch;
  batch.swap(ops_);
  return batch;
}

absl::Status LocalJournal::Commit(const std::vector<Op>& batch) {
  if (sealed_ || offset_ >= options_.file_bytes) {
    RETURN_IF_ERROR(Roll());
    sealed_ = false;
  }
  std::string bytes;
  for (const Op& op : batch) AppendRecord(bytes, op.kind, op.key, op.record);
  AppendRecord(bytes, RecordKind::kCommit, {}, {});
  RETURN_IF_ERROR(WriteBatch(bytes));
  Apply(batch, offset_);
  offset_ += bytes.size();
  return absl::OkStatus();
}

absl::Status LocalJournal::WriteBatch(const std::string& bytes) {
  std::shared_ptr<file::File> to = open_files_.at(current_).file;
  KILL_POINT("journal.before_write");
  if (absl::Status written = to->WriteAt(offset_, bytes); !written.ok()) {
    // Nothing of a batch that was not answered may look committed after a restart.
    if (!to->Truncate(offset_).ok()) sealed_ = true;
    return written;
  }
  KILL_POINT("journal.before_sync");
  if (absl::Status synced = to->Sync("journal.batch"); !synced.ok()) {
    sealed_ = true;
    return synced;
  }
  KILL_POINT("journal.after_sync");
  return absl::OkStatus();
}

void LocalJournal::Apply(const std::vector<Op>& batch, uint64_t offset) {
  const std::lock_guard lock(places_mutex_);
  for (const Op& op : batch) {
    Forget(op.key);
    if (op.kind == RecordKind::kPut)
      Remember(op.key, {current_, static_cast<uint32_t>(op.record.size()), offset + kRecordHeader});
    offset += kRecordHeader + op.record.size();
  }
  open_files_[current_].bytes = offset + kRecordHeader;
}

void LocalJournal::Answer(std::vector<Op> batch, const absl::Status& status) {
  std::vector<Stored> waiting;
  for (Op& op : batch) {
    if (op.stored) waiting.push_back(std::move(op.stored));
    // A completion that was not written is tried again with the next batch: it would only be delivered twice.
    if (op.kind == RecordKind::kDone && !status.ok()) Add(std::move(op), kRidesAtMost);
  }
  if (waiting.empty()) return;
  loop_.Post([waiting = std::move(waiting), status] {
    for (const Stored& stored : waiting) stored(status);
  });
}

// Removes the oldest files while they have no live records. When most of the closed files' bytes are dead, what lives
// in the oldest one moves on, so that one old message never keeps everything behind it.
void LocalJournal::Reclaim() {
  for (bool rewritten = false;;) {
    uint32_t oldest = 0;
    uint64_t oldest_live = 0;
    uint64_t bytes = 0;
    uint64_t live = 0;
    {
      const std::lock_guard lock(places_mutex_);
      if (open_files_.begin()->first == current_) return;
      oldest = open_files_.begin()->first;
      oldest_live = open_files_.begin()->second.live_bytes;
      for (const auto& [number, open] : open_files_) {
        if (number == current_) continue;
        bytes += open.bytes;
        live += open.live_bytes;
      }
    }
    if (oldest_live > 0) {
      if (rewritten || live * 4 >= bytes || !Rewrite(oldest).ok()) return;
      rewritten = true;  // one file at a time: callers wait meanwhile
    }
    if (absl::Status removed = Remove(oldest); !removed.ok()) {
      observe::Warning("queue.journal.remove", {{"status", removed.ToString()}});
      return;
    }
  }
}

absl::Status LocalJournal::Rewrite(uint32_t number) {
  std::vector<std::pair<EntryKey, Place>> live;
  std::shared_ptr<file::File> from;
  {
    const std::lock_guard lock(places_mutex_);
    for (const auto& [key, place] : places_)
      if (place.file == number) live.emplace_back(key, place);
    from = open_files_.at(number).file;
  }
  std::vector<Op> batch;
  size_t bytes = 0;
  for (const auto& [key, place] : live) {
    absl::StatusOr<std::string> record = ReadBody(*from, place);
    if (!record.ok()) return record.status();  // the damaged file stays for the operator
    bytes += record->size();
    batch.push_back({RecordKind::kPut, key, *std::move(record), {}});
    if (bytes < kBatchBytes) continue;
    RETURN_IF_ERROR(Commit(batch));
    batch.clear();
    bytes = 0;
  }
  return batch.empty() ? absl::OkStatus() : Commit(batch);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> OpenLocalJournal(net::Loop& loop, file::FileSystem& files,
                                                          LocalJournalOptions options) {
  auto journal = std::make_unique<LocalJournal>(loop, files, std::move(options));
  RETURN_IF_ERROR(journal->Open());
  return absl::StatusOr<std::unique_ptr<Journal>>(std::move(journal));
}

}  // namespace posthorn::delivery_queue
