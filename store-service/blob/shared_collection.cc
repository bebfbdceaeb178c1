// What the collector does with the shared folder, and how segments are taken from the dead.

#include "lib/base/clock.h"
#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/segment_table.h"
#include "store-service/blob/shared_segment_set.h"

namespace posthorn::store_service {
bool SharedSegmentSet::Older(const SegmentRow& row, int64_t ms) const {
  return base::WallMillis() - row.changed_ms >= ms;
}

SegmentSet::Holder SharedSegmentSet::HolderOf(const Segment& segment) {
  if (Own(segment.number()) != nullptr) return Holder::kThis;
  const absl::StatusOr<SegmentRow> row = RowOf(segment.number());
  const bool final = row.ok() && row->state == SegmentState::kSealed && segment.sealed();
  return final ? Holder::kFinal : Holder::kOther;
}

absl::Status SharedSegmentSet::Remove(const std::shared_ptr<Segment>& segment) {
  ASSIGN_OR_RETURN(SegmentRow row, RowOf(segment->number()));
  row.state = SegmentState::kRemoved;
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  Learn(row, nullptr);
  DropDead(row.number);
  KILL_POINT("store.segment.forgotten");
  return system_.Unlink(segment->path());  // the row goes when no form is left: Tidy()
}

absl::StatusOr<SegmentSet::Form> SharedSegmentSet::NextForm(const Segment& segment) {
  ASSIGN_OR_RETURN(SegmentRow row, RowOf(segment.number()));
  ++row.reserved;
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> same, Find(row.number));
  Learn(row, std::move(same));
  return Form{PathOf(row.number, row.reserved), row.reserved};
}

absl::Status SharedSegmentSet::Replace(const std::shared_ptr<Segment>& fresh, const Form& form) {
  ASSIGN_OR_RETURN(SegmentRow row, RowOf(fresh->number()));
  row.generation = form.generation;
  row.sealed = fresh->durable_end();
  row.doubtful = 0;
  absl::StatusOr<SegmentRow> noted = registry_.Update(row);
  // Otherwise it may have been noted all the same.
  if (absl::IsAborted(noted.status())) RETURN_IF_ERROR(system_.Unlink(form.path));
  RETURN_IF_ERROR(noted.status());
  Learn(*noted, fresh);
  KILL_POINT("store.segment.replaced");
  return absl::OkStatus();
}

absl::Status SharedSegmentSet::Tidy() {
  NoteSealed();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, system_.List(segments_directory_));
  RETURN_IF_ERROR(Refresh());
  ASSIGN_OR_RETURN(const std::vector<SegmentRow> rows, registry_.List());
  for (const SegmentRow& row : rows) {
    const absl::Status status = TidyRow(row, names);
    if (!absl::IsAborted(status)) RETURN_IF_ERROR(status);
  }
  for (const std::string& name : names) {
    const absl::Status status = UnlinkOld(name);
    if (!absl::IsAborted(status)) RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::Status SharedSegmentSet::TidyRow(const SegmentRow& row,
                                       const std::vector<std::string>& names) {
  if (Own(row.number) != nullptr) return absl::OkStatus();
  switch (row.state) {
    case SegmentState::kTaken:
      return Older(row, times_.abandoned_ms) ? Abandon(row) : absl::OkStatus();
    case SegmentState::kOpen:
      return Older(row, times_.abandoned_ms) ? Seize(row) : absl::OkStatus();
    case SegmentState::kSeized:
      return Older(row, times_.settle_ms) ? Settle(row) : absl::OkStatus();
    case SegmentState::kSealed:
      // Nothing was ever committed to it.
      if (row.sealed > kFirstRecord || !Older(row, times_.keep_ms)) return absl::OkStatus();
      return Abandon(row);
    case SegmentState::kRemoved:
      return UnlinkForms(row, names);
  }
  return absl::OkStatus();
}

// A segment without messages. The files go when every writer has seen the row.
absl::Status SharedSegmentSet::Abandon(SegmentRow row) {
  row.state = SegmentState::kRemoved;
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  Learn(row, nullptr);
  return absl::OkStatus();
}

absl::Status SharedSegmentSet::UnlinkForms(const SegmentRow& row,
                                           const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    uint64_t number = 0;
    uint32_t generation = 0;
    if (!ParseSegmentName(name, number, generation) || number != row.number) continue;
    const absl::Status status = system_.Unlink(base::StrCat(segments_directory_, "/", name));
    if (!status.ok() && !absl::IsNotFound(status)) return status;
  }
  RETURN_IF_ERROR(system_.SyncDirectory(segments_directory_, "segment.gone.dir"));
  RETURN_IF_ERROR(registry_.Remove(row));
  Forget(row.number);
  return absl::OkStatus();
}

absl::Status SharedSegmentSet::Seize(SegmentRow row) {
  ++row.reserved;
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  const std::string seized = PathOf(row.number, row.reserved);
  absl::Status renamed = system_.Rename(PathOf(row.number, row.generation), seized);
  // Somebody else died at this point.
  for (uint32_t name = row.reserved - 1; absl::IsNotFound(renamed) && name > row.generation;
       --name) {
    renamed = system_.Rename(PathOf(row.number, name), seized);
  }
  if (absl::IsNotFound(renamed)) {
    NoteDamage(row.number, 0, base::StrCat(PathOf(row.number, row.generation), " is missing"));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(renamed);
  RETURN_IF_ERROR(system_.SyncDirectory(segments_directory_, "segment.seized.dir"));
  KILL_POINT("store.segment.seized");
  row.generation = row.reserved;
  row.state = SegmentState::kSeized;
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  Learn(row, nullptr);
  return absl::OkStatus();
}

absl::Status SharedSegmentSet::Settle(SegmentRow row) {
  const absl::StatusOr<std::shared_ptr<Segment>> opened = OpenForm(row);
  if (absl::IsNotFound(opened.status()) || opened.status().code() == absl::StatusCode::kDataLoss) {
    NoteDamage(row.number, 0, std::string(base::Message(opened.status())));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(opened.status());
  Segment& segment = **opened;
  RETURN_IF_ERROR(segment.Examine([&](const Found& found) {
    NoteDamage(row.number, found.offset, base::StrCat("no record; skipped to ", found.resumed));
  }));
  // Its writer may have been killed between writing and syncing: it is read from now on.
  RETURN_IF_ERROR(segment.file().Sync("segment.settled"));
  row.state = SegmentState::kSealed;
  row.sealed = segment.durable_end();
  row.doubtful = segment.doubtful();
  ASSIGN_OR_RETURN(row, registry_.Update(row));
  Learn(row, nullptr);
  return absl::OkStatus();
}

absl::StatusOr<bool> SharedSegmentSet::MayUnlink(const SegmentRow& row, uint32_t generation) {
  if (generation == row.generation || row.state != SegmentState::kSealed ||
      !Older(row, times_.keep_ms)) {
    return false;
  }
  // The half-made form of a collector that died, or was slow: from now on it cannot put it in
  // place.
  if (generation > row.generation) RETURN_IF_ERROR(registry_.Update(row).status());
  return true;
}

absl::Status SharedSegmentSet::UnlinkOld(const std::string& name) {
  uint64_t number = 0;
  uint32_t generation = 0;
  if (!ParseSegmentName(name, number, generation)) return absl::OkStatus();
  const std::string path = base::StrCat(segments_directory_, "/", name);
  const absl::StatusOr<SegmentRow> row = registry_.Find(number);
  const bool unknown = absl::IsNotFound(row.status()) || (row.ok() && generation > row->reserved);
  if (!unknown) RETURN_IF_ERROR(row.status());
  if (unknown) {
    // Rows come before files and go after them. An older registry was restored: a person decides.
    if (system_.SizeOf(path).ok()) {
      NoteDamage(number, 0, base::StrCat(path, " is in no list of the database; it is kept"));
    }
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const bool old, MayUnlink(*row, generation));
  return old ? system_.Unlink(path) : absl::OkStatus();
}

}  // namespace posthorn::store_service
