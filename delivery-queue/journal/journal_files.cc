#include "delivery-queue/journal/journal_files.h"

#include <algorithm>

#include "lib/base/crc32c.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

constexpr size_t kRewriteBytes = 8U << 20;

}  // namespace

JournalFiles::JournalFiles(file::FileSystem& files, std::string directory, uint64_t file_bytes)
    : files_(files), directory_(std::move(directory)), file_bytes_(file_bytes) {}

std::string JournalFiles::PathOf(uint32_t number) const {
  const std::string digits = std::to_string(number);
  const std::string zeros(8 - std::min<size_t>(8, digits.size()), '0');
  return base::StrCat(directory_, "/", zeros, digits, ".journal");
}

absl::Status JournalFiles::Load() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory_));
  for (const std::string& name : names) {
    if (!name.ends_with(".journal")) continue;
    const std::optional<uint32_t> number = base::ParseInt<uint32_t>(std::string_view(name).substr(0, 8));
    if (!number) continue;
    current_ = std::max(current_, *number);
    RETURN_IF_ERROR(LoadFile(*number));
  }
  while (!open_.empty() && open_.begin()->second.live_bytes == 0) RETURN_IF_ERROR(Remove(open_.begin()->first));
  return Roll();
}

absl::Status JournalFiles::LoadFile(uint32_t number) {
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, files_.Open(PathOf(number), file::Mode::kReadWrite));
  // Before anything older is dropped for what is read here: a kill leaves bytes that only the cache holds. The name
  // was durable before the first of them was written.
  RETURN_IF_ERROR(opened->Sync("journal.recovered"));
  ASSIGN_OR_RETURN(const std::string bytes, file::ReadWhole(files_, PathOf(number)));
  open_[number] = {std::move(opened), bytes.size(), 0};
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

absl::StatusOr<std::string> JournalFiles::Read(const EntryKey& key) const {
  Place place;
  std::shared_ptr<file::File> from;
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return base::NotFound("not in the journal");
    place = found->second;
    from = open_.at(place.file).file;
  }
  return ReadBody(*from, place);
}

absl::StatusOr<std::string> JournalFiles::ReadBody(file::File& from, const Place& place) {
  std::string raw(place.length + kRecordHeader, '\0');
  ASSIGN_OR_RETURN(const size_t n, from.ReadAt(place.offset - kRecordHeader, raw));
  const std::optional<RecordHeader> header = ParseHeader(raw);
  const std::string_view body = std::string_view(raw).substr(kRecordHeader);
  if (n != raw.size() || !header || base::Crc32c(body) != header->body_crc)
    return base::DataLoss("journal record is damaged");
  return std::string(body);
}

std::vector<EntryKey> JournalFiles::Keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<EntryKey> keys;
  keys.reserve(places_.size());
  for (const auto& [key, place] : places_) keys.push_back(key);
  return keys;
}

Journal::Usage JournalFiles::usage() const {
  const std::lock_guard lock(mutex_);
  Journal::Usage usage;
  usage.files = open_.size();
  for (const auto& [number, open] : open_) usage.bytes += open.bytes;
  return usage;
}

// Both under the mutex, or before the appender runs.
void JournalFiles::Forget(const EntryKey& key) {
  const auto found = places_.find(key);
  if (found == places_.end()) return;
  open_[found->second.file].live_bytes -= found->second.length + kRecordHeader;
  places_.erase(found);
}

void JournalFiles::Remember(const EntryKey& key, Place place) {
  open_[place.file].live_bytes += place.length + kRecordHeader;
  places_[key] = place;
}

absl::Status JournalFiles::Roll() {
  const uint32_t next = current_ + 1;
  ASSIGN_OR_RETURN(std::unique_ptr<file::File> opened, files_.Open(PathOf(next), file::Mode::kCreateNew));
  RETURN_IF_ERROR(files_.SyncDirectory(directory_, "journal.directory"));
  const std::lock_guard lock(mutex_);
  current_ = next;
  offset_ = 0;
  open_[next] = {std::move(opened), 0, 0};
  return absl::OkStatus();
}

absl::Status JournalFiles::Remove(uint32_t number) {
  {
    const std::lock_guard lock(mutex_);
    open_.erase(number);
  }
  RETURN_IF_ERROR(files_.Unlink(PathOf(number)));
  // Before a newer file goes: should this one come back after a crash, what finished its keys must be there.
  return files_.SyncDirectory(directory_, "journal.removed");
}

absl::Status JournalFiles::Append(std::span<const NewRecord> batch) {
  if (sealed_ || offset_ >= file_bytes_) {
    RETURN_IF_ERROR(Roll());
    sealed_ = false;
  }
  std::string bytes;
  for (const NewRecord& record : batch) AppendRecord(bytes, record.kind, record.key, record.body);
  AppendRecord(bytes, RecordKind::kCommit, {}, {});
  RETURN_IF_ERROR(WriteBatch(bytes));
  Apply(batch, offset_);
  offset_ += bytes.size();
  return absl::OkStatus();
}

absl::Status JournalFiles::WriteBatch(const std::string& bytes) {
  std::shared_ptr<file::File> to = open_.at(current_).file;
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

void JournalFiles::Apply(std::span<const NewRecord> batch, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  for (const NewRecord& record : batch) {
    Forget(record.key);
    if (record.kind == RecordKind::kPut)
      Remember(record.key, {current_, static_cast<uint32_t>(record.body.size()), offset + kRecordHeader});
    offset += kRecordHeader + record.body.size();
  }
  open_[current_].bytes = offset + kRecordHeader;
}

std::optional<JournalFiles::Oldest> JournalFiles::FindOldest() const {
  const std::lock_guard lock(mutex_);
  if (open_.begin()->first == current_) return {};
  uint64_t bytes = 0;
  uint64_t live = 0;
  for (const auto& [number, open] : open_) {
    if (number == current_) continue;
    bytes += open.bytes;
    live += open.live_bytes;
  }
  return Oldest{open_.begin()->first, open_.begin()->second.live_bytes, live * 4 < bytes};
}

void JournalFiles::Reclaim() {
  for (bool rewritten = false;;) {
    const std::optional<Oldest> oldest = FindOldest();
    if (!oldest) return;
    if (oldest->live_bytes > 0) {
      if (rewritten || !oldest->mostly_dead || !Rewrite(oldest->number).ok()) return;
      rewritten = true;  // one file at a time: callers wait meanwhile
    }
    if (absl::Status removed = Remove(oldest->number); !removed.ok()) {
      observe::Warning("queue.journal.remove", {{"status", removed.ToString()}});
      return;
    }
  }
}

absl::Status JournalFiles::Rewrite(uint32_t number) {
  std::vector<std::pair<EntryKey, Place>> live;
  std::shared_ptr<file::File> from;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, place] : places_)
      if (place.file == number) live.emplace_back(key, place);
    from = open_.at(number).file;
  }
  std::vector<NewRecord> batch;
  size_t bytes = 0;
  for (const auto& [key, place] : live) {
    absl::StatusOr<std::string> record = ReadBody(*from, place);
    if (!record.ok()) return record.status();  // the damaged file stays for the operator
    bytes += record->size();
    batch.push_back({RecordKind::kPut, key, *std::move(record)});
    if (bytes < kRewriteBytes) continue;
    RETURN_IF_ERROR(Append(batch));
    batch.clear();
    bytes = 0;
  }
  return batch.empty() ? absl::OkStatus() : Append(batch);
}

}  // namespace posthorn::delivery_queue
