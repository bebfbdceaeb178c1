// Whether both sides hold the same, and the end of a move.

#include <thread>

#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/blob/registry/sql_segment_registry.h"
#include "store-service/blob/shared_identity.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/move/mark.h"
#include "store-service/move/move.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kLeadsInOne = 200;
constexpr std::chrono::milliseconds kAskAgain{500};

absl::Status Differs(const MoveTable& table, const MoveSum& source, const MoveSum& target) {
  return base::DataLoss(base::StrCat("the table ", table.target, " differs: ", source.rows,
                                     " rows here, ", target.rows,
                                     " rows there; nothing has changed, run it again"));
}

}  // namespace

absl::Status Move::CompareAll() {
  // What is written from now on is in touched_ when it has been copied.
  touched_.clear();
  for (const MoveLead lead : {MoveLead::kBlob, MoveLead::kAccount}) {
    ASSIGN_OR_RETURN(const std::vector<MoveRange> ranges, source_->Ranges(lead));
    for (const MoveTable& table : MoveTables()) {
      if (table.lead != lead) continue;
      Tell(Phase::kCompare, &table);
      for (const MoveRange& range : ranges) {
        RETURN_IF_ERROR(MayGoOn());
        RETURN_IF_ERROR(ComparePart(table, range));
      }
    }
  }
  return CompareSmall();
}

absl::Status Move::ComparePart(const MoveTable& table, const MoveRange& range) {
  const std::string where =
      base::StrCat(table.LeadColumn(), " BETWEEN ", range.first, " AND ", range.last);
  ASSIGN_OR_RETURN(const MoveSum theirs, target_->Sum(table, where));
  ASSIGN_OR_RETURN(const MoveSum ours, source_->Sum(table, where));
  if (ours == theirs) return absl::OkStatus();
  // Something was written here since: looked at again when nothing is written any more.
  ASSIGN_OR_RETURN(const std::vector<uint64_t> leads, source_->Leads(table, range));
  touched_[&table].insert(leads.begin(), leads.end());
  return absl::OkStatus();
}

absl::Status Move::CompareTouched() {
  for (const auto& [table, leads] : touched_) {
    std::set<uint64_t> some;
    for (const uint64_t lead : leads) {
      some.insert(lead);
      if (some.size() < kLeadsInOne) continue;
      RETURN_IF_ERROR(CompareTouchedOf(*table, some));
      some.clear();
    }
    if (!some.empty()) RETURN_IF_ERROR(CompareTouchedOf(*table, some));
  }
  return absl::OkStatus();
}

absl::Status Move::CompareTouchedOf(const MoveTable& table, const std::set<uint64_t>& leads) {
  RETURN_IF_ERROR(MayGoOn());
  std::string where;
  for (const uint64_t lead : leads) {
    base::StrAppend(where, where.empty() ? table.LeadColumn() : std::string_view(),
                    where.empty() ? " IN (" : ",", lead);
  }
  where += ')';
  ASSIGN_OR_RETURN(const MoveSum ours, source_->Sum(table, where));
  ASSIGN_OR_RETURN(const MoveSum theirs, target_->Sum(table, where));
  return ours == theirs ? absl::OkStatus() : Differs(table, ours, theirs);
}

absl::Status Move::CompareCounts() {
  for (const MoveTable& table : MoveTables()) {
    if (table.lead == MoveLead::kNone || !source_->Has(table)) continue;
    RETURN_IF_ERROR(MayGoOn());
    ASSIGN_OR_RETURN(const uint64_t ours, source_->Count(table));
    ASSIGN_OR_RETURN(const uint64_t theirs, target_->Count(table));
    if (ours != theirs) return Differs(table, {ours, 0}, {theirs, 0});
    if (&table == &MoveTableOfMail("message")) result_.messages = ours;
  }
  return absl::OkStatus();
}

// small_ is what the source had when the table was copied last.
absl::Status Move::CompareSmall() {
  for (const auto& [table, ours] : small_) {
    const auto compared = small_compared_.find(table);
    if (compared != small_compared_.end() && compared->second == ours) continue;
    ASSIGN_OR_RETURN(const MoveSum theirs, target_->Sum(*table, "1"));
    if (ours == theirs) {
      small_compared_[table] = theirs;
    } else {
      // Perhaps it was written while it was copied; once nothing is, that is no excuse.
      small_compared_.erase(table);
      if (stopped_) return Differs(*table, ours, theirs);
    }
  }
  return absl::OkStatus();
}

// From now on a folder that is not this one is refused by every store on the database.
absl::Status Move::NameMessageFolder() {
  if (options_.blobs.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<SegmentRegistry> registry,
                   SqlSegmentRegistry::Open(sql::OpenMysql(target_->options())));
  ASSIGN_OR_RETURN(const std::string name, FolderIdentity(file::Real(), options_.blobs));
  return registry->Identity(name).status();
}

// The mark here first: at no moment may both sides take themselves for the installation.
absl::Status Move::Finish() {
  RETURN_IF_ERROR(MarkMoved(file::Real(), options_.data, options_.url));
  KILL_POINT("store.move.marked");
  const absl::Status status = SayLastWord();
  if (status.ok()) return status;
  if (status.code() == absl::StatusCode::kUnknown) {
    return base::Error(absl::StatusCode::kUnknown,
                       base::StrCat("everything was copied, but the database went away with its "
                                    "last word: see the manual; ",
                                    base::Message(status)));
  }
  const absl::Status undone = RemoveMovedMark(file::Real(), options_.data);
  if (undone.ok()) return status;
  return base::Error(status.code(),
                     base::StrCat(base::Message(status), "; and ", options_.data, "/", kMovedFile,
                                  " must be removed by hand: ", base::Message(undone)));
}

// A database that comes back soon is waited for, whether or not anybody still listens.
absl::Status Move::SayLastWord() {
  absl::Status status = target_->Complete(installation_);
  while (status.code() == absl::StatusCode::kUnknown && !StoppedForLong()) {
    const absl::StatusOr<bool> complete = target_->IsComplete();
    if (complete.ok()) {
      return *complete ? absl::OkStatus()
                       : base::Unavailable("the database did not take the last word");
    }
    std::this_thread::sleep_for(kAskAgain);
  }
  return status;
}

}  // namespace posthorn::store_service
