#include "delivery-queue/journal/local_journal.h"

#include <openssl/rand.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "delivery-queue/journal/journal_files.h"
#include "delivery-queue/journal/journal_metrics.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

constexpr int kReaders = 2;
constexpr size_t kWaitingReads = 10000;
constexpr std::chrono::milliseconds kSoon{10};
constexpr std::chrono::milliseconds kRidesAtMost{1000};

// The appender thread: what is handed in while one batch is written is the next batch.
class LocalJournal : public Journal {
 public:
  LocalJournal(net::Loop& loop, file::FileSystem& files, LocalJournalOptions options)
      : loop_(loop),
        files_(files),
        directory_(options.directory),
        records_(files, options.directory, options.file_bytes),
        readers_(loop, "journal", kReaders, kWaitingReads) {}

  ~LocalJournal() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (appender_.joinable()) appender_.join();
  }

  absl::Status Open() {
    RETURN_IF_ERROR(files_.MakeDirectory(directory_));
    RETURN_IF_ERROR(files_.SyncDirectory(file::DirectoryOf(directory_), "journal.parent"));
    RETURN_IF_ERROR(LoadId());
    RETURN_IF_ERROR(records_.Load());
    JournalMetrics::Get();  // made now: a panel shows 0, not nothing
    appender_ = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  void Put(EntryKey key, uint64_t, std::string record, Stored stored) override {
    Add({RecordKind::kPut, key, std::move(record)}, std::move(stored), std::chrono::milliseconds(0));
  }
  void Done(EntryKey key, Urgency urgency) override {
    Add({RecordKind::kDone, key, {}}, {}, urgency == Urgency::kSoon ? kSoon : kRidesAtMost);
  }

  net::Task<absl::StatusOr<std::string>> Read(EntryKey key) override {
    return readers_.Run([this, key] { return records_.Read(key); });
  }

  net::Task<absl::Status> ForEach(Visit visit) override {
    for (const EntryKey& key : records_.Keys()) {
      absl::StatusOr<std::string> record = records_.Read(key);
      if (record.ok()) {
        visit(key, *std::move(record));
      } else if (!absl::IsDataLoss(record.status())) {
        // It is there, and may be read later: without it its message would be forgotten.
        co_return record.status();
      } else {
        observe::Error("queue.journal.damaged",
                       {{"message", key.message.ToString()}, {"status", record.status().ToString()}});
      }
    }
    co_return absl::OkStatus();
  }

  std::string id() const override { return id_; }
  Usage usage() const override { return records_.usage(); }

 private:
  struct Batch {
    std::vector<NewRecord> records;
    std::vector<Stored> stored;  // of each record, or none
  };

  absl::Status LoadId();
  void Add(NewRecord record, Stored stored, std::chrono::milliseconds within);
  void Run();
  Batch WaitForBatch();
  void Answer(Batch batch, const absl::Status& status);
  bool Stopping() {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  net::Loop& loop_;
  file::FileSystem& files_;
  const std::string directory_;
  std::string id_;
  JournalFiles records_;

  std::mutex mutex_;
  std::condition_variable wake_;
  Batch next_;
  std::chrono::steady_clock::time_point start_at_ = std::chrono::steady_clock::time_point::max();
  bool stopping_ = false;
  std::thread appender_;
  net::BlockingPool readers_;  // goes first: it uses the rest
};

absl::Status LocalJournal::LoadId() {
  const std::string path = directory_ + "/id";
  absl::StatusOr<std::string> stored = file::ReadWhole(files_, path);
  if (stored.ok() && stored->size() == 16) {
    id_ = *std::move(stored);
    return absl::OkStatus();
  }
  id_.resize(16);
  RAND_bytes(reinterpret_cast<uint8_t*>(id_.data()), 16);
  return file::ReplaceAtomically(files_, path, id_, "journal.id");
}

void LocalJournal::Add(NewRecord record, Stored stored, std::chrono::milliseconds within) {
  const auto start = std::chrono::steady_clock::now() + within;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    next_.records.push_back(std::move(record));
    next_.stored.push_back(std::move(stored));
    wake = start < start_at_;
    start_at_ = std::min(start_at_, start);
  }
  if (wake) wake_.notify_one();
}

void LocalJournal::Run() {
  for (;;) {
    Batch batch = WaitForBatch();
    if (batch.records.empty()) return;
    const int64_t begin = base::MonotonicMicros();
    const absl::Status status = records_.Append(batch.records);
    const JournalMetrics& metrics = JournalMetrics::Get();
    metrics.commit_seconds->Observe(static_cast<double>(base::MonotonicMicros() - begin) / 1e6);
    metrics.batch_records->Observe(static_cast<double>(batch.records.size()));
    if (!status.ok()) metrics.failures->Add();
    if (!status.ok()) observe::Error("queue.journal.failed", {{"status", status.ToString()}});
    Answer(std::move(batch), status);
    records_.Reclaim();
  }
}

LocalJournal::Batch LocalJournal::WaitForBatch() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && std::chrono::steady_clock::now() < start_at_) {
    if (start_at_ == std::chrono::steady_clock::time_point::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, start_at_);
    }
  }
  start_at_ = std::chrono::steady_clock::time_point::max();
  return std::exchange(next_, {});
}

void LocalJournal::Answer(Batch batch, const absl::Status& status) {
  std::vector<Stored> waiting;
  const bool stopping = Stopping();
  for (size_t i = 0; i < batch.records.size(); ++i) {
    if (batch.stored[i]) waiting.push_back(std::move(batch.stored[i]));
    // A completion that was not written is tried again with the next batch, unless we end: without it the message
    // would only be delivered twice.
    if (batch.records[i].kind == RecordKind::kDone && !status.ok() && !stopping)
      Add(std::move(batch.records[i]), {}, kRidesAtMost);
  }
  if (waiting.empty()) return;
  loop_.Post([waiting = std::move(waiting), status] {
    for (const Stored& stored : waiting) stored(status);
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> OpenLocalJournal(net::Loop& loop, file::FileSystem& files,
                                                          LocalJournalOptions options) {
  auto journal = std::make_unique<LocalJournal>(loop, files, std::move(options));
  RETURN_IF_ERROR(journal->Open());
  return absl::StatusOr<std::unique_ptr<Journal>>(std::move(journal));
}

}  // namespace posthorn::delivery_queue
