#include "store-service/blob/s3/disk_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "store-service/blob/record.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kMagic = "phcache1";
constexpr size_t kHead = 40;  // magic, key, body's length, aux's length, checksum of all the rest
constexpr std::string_view kUnfinished = ".new";
constexpr uint64_t kBlock = 4096;  // what a file takes at least

uint64_t OnDisk(uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock + kBlock / 4; }

std::string Encode(uint64_t key, std::string_view body, std::string_view aux) {
  std::string text(kMagic);
  PutFixed64(text, key);
  PutFixed64(text, body.size());
  PutFixed64(text, aux.size());
  const uint32_t crc = base::Crc32c(aux, base::Crc32c(body, base::Crc32c(text)));
  PutFixed64(text, crc);
  text.reserve(kHead + body.size() + aux.size());
  base::StrAppend(text, body, aux);
  return text;
}

// Nothing when any of it is not what was written.
std::optional<CachedRecord> Decode(std::string_view text, const BlobRef& ref) {
  if (text.size() < kHead || !text.starts_with(kMagic) || GetFixed64(text.substr(8)) != ref.key) {
    return std::nullopt;
  }
  const uint64_t body = GetFixed64(text.substr(16));
  const uint64_t aux = GetFixed64(text.substr(24));
  const std::string_view rest = text.substr(kHead);
  if (body != ref.size || body > rest.size() || aux != rest.size() - body) return std::nullopt;
  const uint32_t crc = base::Crc32c(rest, base::Crc32c(text.substr(0, 32)));
  if (crc != GetFixed64(text.substr(32))) return std::nullopt;
  return CachedRecord{std::string(rest.substr(0, body)), std::string(rest.substr(body))};
}

observe::Counter* Damaged() {
  static observe::Counter* const counter =
      observe::NewCounter("posthorn_store_s3_cache_damaged_total",
                          "Files of the disk cache that did not check and were removed");
  return counter;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DiskCache>> DiskCache::Open(Options options) {
  Damaged();  // made now: a panel shows 0, not nothing
  std::unique_ptr<DiskCache> cache(new DiskCache(std::move(options)));
  RETURN_IF_ERROR(cache->Load());
  return cache;
}

std::string DiskCache::PathOf(const Entry& entry) const {
  return base::StrCat(options_.folder, "/", entry.key, "-", entry.size);
}

std::optional<DiskCache::Entry> DiskCache::EntryOf(const std::string& name) const {
  const std::vector<std::string_view> parts = base::Split(name, '-');
  if (parts.size() != 2) return std::nullopt;
  const auto key = base::ParseInt<uint64_t>(parts[0]);
  const auto size = base::ParseInt<uint64_t>(parts[1]);
  if (!key || !size) return std::nullopt;
  return Entry{*key, *size};
}

absl::Status DiskCache::Load() {
  file::FileSystem& system = *options_.system;
  RETURN_IF_ERROR(system.MakeDirectory(options_.folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, system.List(options_.folder));
  const std::string mark = base::StrCat("of-", options_.word);
  const bool ours = std::find(names.begin(), names.end(), mark) != names.end();
  std::vector<Entry> found;
  for (const std::string& name : names) {
    if (name == mark) continue;
    const std::optional<Entry> entry = ours ? EntryOf(name) : std::nullopt;
    if (entry) {
      found.push_back(*entry);
    } else {
      RETURN_IF_ERROR(system.Unlink(base::StrCat(options_.folder, "/", name)));
    }
  }
  // After the last of another bucket's is gone.
  if (!ours) {
    RETURN_IF_ERROR(
        system.Open(base::StrCat(options_.folder, "/", mark), file::Mode::kCreate).status());
  }
  // Higher keys were written later; nothing else is known of what an earlier run read.
  std::sort(found.begin(), found.end(),
            [](const Entry& a, const Entry& b) { return a.key < b.key; });
  for (const Entry& entry : found) Add(entry);
  Unlink(TakeOldest(options_.bytes));
  return absl::OkStatus();
}

void DiskCache::Add(const Entry& entry) {
  const std::lock_guard lock(mutex_);
  if (places_.contains(entry.key)) return;
  entries_.push_front(entry);
  places_[entry.key] = entries_.begin();
  bytes_ += OnDisk(entry.size);
}

std::optional<CachedRecord> DiskCache::Find(const BlobRef& ref) {
  Entry entry;
  {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find(ref.key);
    if (at == places_.end()) return std::nullopt;
    entries_.splice(entries_.begin(), entries_, at->second);
    entry = *at->second;
  }
  const absl::StatusOr<std::string> text = file::ReadWhole(*options_.system, PathOf(entry));
  if (text.ok()) {
    if (std::optional<CachedRecord> record = Decode(*text, ref)) return record;
  }
  // One that was put out meanwhile is no damage.
  if (!absl::IsNotFound(text.status())) {
    Damaged()->Add();
    observe::Warning("store.s3.cache_damaged", {{"file", PathOf(entry)}});
  }
  Erase(ref.key);
  return std::nullopt;
}

absl::Status DiskCache::Write(const BlobRef& ref, std::string_view body, std::string_view aux) {
  file::FileSystem& system = *options_.system;
  const std::string text = Encode(ref.key, body, aux);
  const Entry entry{ref.key, text.size()};
  std::string unfinished;
  {
    const std::lock_guard lock(mutex_);
    if (places_.contains(ref.key)) return absl::OkStatus();
    unfinished = base::StrCat(options_.folder, "/", ++written_, kUnfinished);
  }
  absl::Status status;
  {
    ASSIGN_OR_RETURN(const auto file, system.Open(unfinished, file::Mode::kCreateNew));
    status = file->WriteAt(0, text);
  }
  if (status.ok()) status = system.Rename(unfinished, PathOf(entry));
  if (!status.ok()) {
    (void)system.Unlink(unfinished);
    return status;
  }
  Add(entry);
  Unlink(TakeOldest(options_.bytes));
  return absl::OkStatus();
}

void DiskCache::Put(const BlobRef& ref, std::string_view body, std::string_view aux) {
  if (OnDisk(kHead + body.size() + aux.size()) > options_.bytes / 4) return;
  const absl::Status status = Write(ref, body, aux);
  if (!absl::IsResourceExhausted(status)) return;
  observe::Warning("store.s3.cache_disk_full", {{"error", base::Message(status)}});
  Unlink(TakeOldest(bytes() / 2));
}

DiskCache::Entries DiskCache::TakeOldest(uint64_t budget) {
  const std::lock_guard lock(mutex_);
  Entries out;
  while (bytes_ > budget && !entries_.empty()) {
    bytes_ -= OnDisk(entries_.back().size);
    places_.erase(entries_.back().key);
    out.splice(out.begin(), entries_, std::prev(entries_.end()));
  }
  return out;
}

void DiskCache::Unlink(const Entries& entries) {
  for (const Entry& entry : entries) (void)options_.system->Unlink(PathOf(entry));
}

void DiskCache::Erase(uint64_t key) {
  Entries out;
  {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find(key);
    if (at == places_.end()) return;
    bytes_ -= OnDisk(at->second->size);
    out.splice(out.begin(), entries_, at->second);
    places_.erase(at);
  }
  Unlink(out);
}

uint64_t DiskCache::bytes() {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace posthorn::store_service
