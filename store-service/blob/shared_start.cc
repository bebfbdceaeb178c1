// What a store does with the shared folder before it writes to it.

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/segment_table.h"
#include "store-service/blob/shared_identity.h"
#include "store-service/blob/shared_segment_set.h"

namespace posthorn::store_service {
namespace {

bool FitForAName(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  };
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), plain);
}

}  // namespace

absl::Status SharedSegmentSet::Load() {
  if (!FitForAName(writer_)) {
    return base::Invalid(base::StrCat("\"", writer_,
                                      "\" cannot be the name of a store: letters, "
                                      "digits, dots, dashes"));
  }
  if (system_.SizeOf(directory_).status().code() == absl::StatusCode::kNotFound) {
    RETURN_IF_ERROR(system_.MakeDirectory(directory_));
    RETURN_IF_ERROR(system_.SyncDirectory(file::DirectoryOf(directory_), "store.parent.dir"));
  }
  RETURN_IF_ERROR(CheckIdentity());
  RETURN_IF_ERROR(system_.MakeDirectory(segments_directory_));
  const std::string writers = base::StrCat(directory_, "/writers");
  RETURN_IF_ERROR(system_.MakeDirectory(writers));
  RETURN_IF_ERROR(system_.MakeDirectory(base::StrCat(writers, "/", writer_)));
  ASSIGN_OR_RETURN(lock_, file::DirectoryLock::Take(base::StrCat(writers, "/", writer_)));
  // Also what an earlier run made or renamed here and was killed before it could sync.
  RETURN_IF_ERROR(system_.SyncDirectory(directory_, "store.found.dir"));
  RETURN_IF_ERROR(ImportTable());
  RETURN_IF_ERROR(Refresh());
  return TakeOverOwn();
}

// The file's name is the word, so that two who make one at the same time do no harm: the registry
// takes one of them.
absl::Status SharedSegmentSet::CheckIdentity() {
  // The registry first: who registers a word has made its file before.
  ASSIGN_OR_RETURN(std::string id, registry_.Identity(""));
  ASSIGN_OR_RETURN(std::vector<std::string> ids, FolderIdentities(system_, directory_));
  if (id.empty() && ids.empty()) {
    ASSIGN_OR_RETURN(ids.emplace_back(), MakeFolderIdentity(system_, directory_));
  }
  if (id.empty()) {
    ASSIGN_OR_RETURN(id, registry_.Identity(ids.front()));
    ASSIGN_OR_RETURN(ids, FolderIdentities(system_, directory_));
  }
  if (std::find(ids.begin(), ids.end(), id) != ids.end()) return absl::OkStatus();
  return base::Precondition(base::StrCat(directory_,
                                         " is not the folder that the other stores use (", id,
                                         " is missing): is the volume mounted?"));
}

absl::Status SharedSegmentSet::ImportTable() {
  const std::string path = base::StrCat(directory_, "/segments.table");
  const absl::StatusOr<std::string> text = file::ReadWhole(system_, path);
  if (text.status().code() == absl::StatusCode::kNotFound) return absl::OkStatus();
  RETURN_IF_ERROR(text.status());
  // The store that had the folder for itself has ended.
  ASSIGN_OR_RETURN(const std::unique_ptr<file::DirectoryLock> alone,
                   file::DirectoryLock::Take(directory_));
  ASSIGN_OR_RETURN(const SegmentTable table, ParseTable(*text));
  std::vector<SegmentRow> rows;
  for (const auto& [number, entry] : table.segments) {
    SegmentRow row;
    row.number = number;
    row.writer = writer_;
    row.state = entry.sealed != 0 ? SegmentState::kSealed : SegmentState::kOpen;
    row.generation = row.reserved = entry.generation;
    row.sealed = entry.sealed;
    row.doubtful = entry.doubtful;
    row.changed_ms = base::WallMillis();
    rows.push_back(row);
  }
  RETURN_IF_ERROR(registry_.Import(rows, table.next));
  RETURN_IF_ERROR(system_.Rename(path, base::StrCat(path, ".imported")));
  return system_.SyncDirectory(directory_, "table.imported.dir");
}

// What an earlier start left open is ended, never gone on with: that start may still be alive on a
// machine that was given up.
absl::Status SharedSegmentSet::TakeOverOwn() {
  ASSIGN_OR_RETURN(const std::vector<SegmentRow> rows, registry_.List());
  for (const SegmentRow& row : rows) {
    if (row.writer != writer_) continue;
    absl::Status status;
    if (row.state == SegmentState::kTaken) status = Abandon(row);
    if (row.state == SegmentState::kOpen) status = Seize(row);
    if (status.code() != absl::StatusCode::kAborted) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
