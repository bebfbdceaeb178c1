#include "store-service/move/move.h"

#include <utility>

#include "lib/base/kill_point.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/move/mark.h"

namespace posthorn::store_service {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTellEvery{250};
// Noted rows that are copied before the stop; fewer are quick enough for it.
constexpr size_t kFewKeys = 500;
constexpr int kMostRounds = 6;
// Noted rows take memory: more than these are copied in the middle of the rest.
constexpr size_t kMostKeys = 200000;

// Longer would keep mail waiting for a database that is too slow, or frozen.
constexpr std::chrono::seconds kLongestStop{60};

constexpr char kMoving[] =
    "the installation is being moved to another database; this works again in a moment";

int64_t MillisSince(steady_clock::time_point then) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - then).count();
}

std::string Between(const MoveTable& table, const MoveRange& range) {
  return base::StrCat(table.LeadColumn(), " BETWEEN ", range.first, " AND ", range.last);
}

}  // namespace

Move::Move(MoveOptions options, Writers writers, std::function<void(const MoveProgress&)> tell,
           const std::atomic<bool>& cancelled)
    : options_(std::move(options)),
      writers_(writers),
      tell_(std::move(tell)),
      cancelled_(cancelled) {}

absl::StatusOr<MoveResult> Move::Run() {
  const auto begun = steady_clock::now();
  // Before the first look at the source.
  writers_.mail.Track();
  absl::Status status = [&]() -> absl::Status {
    RETURN_IF_ERROR(Check());
    RETURN_IF_ERROR(CopyAll());
    RETURN_IF_ERROR(CatchUp());
    RETURN_IF_ERROR(CompareAll());
    RETURN_IF_ERROR(CatchUp());
    result_.copy_ms = MillisSince(begun);
    return Stop();
  }();
  if (status.ok()) return result_;
  if (status.code() != absl::StatusCode::kUnknown) {
    writers_.mail.Open();
    writers_.others.Open();
  }
  writers_.mail.Forget();
  return status;
}

absl::Status Move::Check() {
  Tell(Phase::kCheck, nullptr);
  ASSIGN_OR_RETURN(source_, MoveSource::Open(options_.files));
  RETURN_IF_ERROR(source_->ExpectKnown());
  ASSIGN_OR_RETURN(installation_, source_->Installation());
  ASSIGN_OR_RETURN(target_, MoveTarget::Open(options_.target));
  ASSIGN_OR_RETURN(const std::vector<std::string> warnings, target_->Warnings());
  for (const std::string& warning : warnings) Tell(Phase::kCheck, nullptr, warning);
  RETURN_IF_ERROR(target_->Prepare(installation_));
  for (const MoveTable& table : MoveTables()) {
    if (!source_->Has(table)) continue;
    ASSIGN_OR_RETURN(const uint64_t rows, source_->Count(table));
    total_ += rows;
    if (&table == &MoveTableOfMail("message")) result_.messages = rows;
  }
  return absl::OkStatus();
}

absl::Status Move::CopyAll() {
  // What points to others last does not matter here; what is most comes last, so that it is young.
  RETURN_IF_ERROR(RefreshSmall());
  RETURN_IF_ERROR(CopyLed(MoveLead::kBlob));
  return CopyLed(MoveLead::kAccount);
}

absl::Status Move::CopyLed(MoveLead lead) {
  ASSIGN_OR_RETURN(const std::vector<MoveRange> ranges, source_->Ranges(lead));
  for (const MoveTable& table : MoveTables()) {
    if (table.lead != lead) continue;
    for (const MoveRange& range : ranges) {
      RETURN_IF_ERROR(CopyPart(table, Between(table, range)));
      if (writers_.mail.written() > kMostKeys) RETURN_IF_ERROR(Apply(writers_.mail.TakeWritten()));
    }
  }
  return absl::OkStatus();
}

absl::Status Move::CopyPart(const MoveTable& table, std::string_view where) {
  if (before_part) before_part();
  KILL_POINT("store.move.part");
  MoveTarget::Rows rows(*target_, table);
  absl::Status status = source_->Read(table, where, [&](std::string_view row) -> absl::Status {
    RETURN_IF_ERROR(MayGoOn());
    Count(table, 1);
    return rows.Add(row);
  });
  if (status.ok()) status = rows.Finish();
  return status.ok() ? status : base::Annotate(status, base::StrCat("table ", table.target));
}

absl::Status Move::RefreshSmall() {
  for (const MoveTable& table : MoveTables()) {
    if (table.lead != MoveLead::kNone || !source_->Has(table)) continue;
    // The sum of just the rows that are copied: what came after it and went again would stay there.
    ASSIGN_OR_RETURN(const sqlite::Transaction moment, source_->OneMoment(table));
    ASSIGN_OR_RETURN(const MoveSum sum, source_->Sum(table, "1"));
    const auto known = small_.find(&table);
    if (known != small_.end() && known->second == sum) continue;
    RETURN_IF_ERROR(target_->Delete(table, "1"));
    RETURN_IF_ERROR(CopyPart(table, "1"));
    small_[&table] = sum;
  }
  return absl::OkStatus();
}

absl::Status Move::CatchUp() {
  for (int round = 0; round < kMostRounds; ++round) {
    RETURN_IF_ERROR(MayGoOn());
    const MoveKeys keys = writers_.mail.TakeWritten();
    Tell(Phase::kCatchUp, nullptr, base::StrCat("catching up with ", keys.size(), " changed rows"));
    RETURN_IF_ERROR(Apply(keys));
    RETURN_IF_ERROR(RefreshSmall());
    if (keys.size() <= kFewKeys) break;
  }
  return absl::OkStatus();
}

absl::Status Move::Apply(const MoveKeys& keys) {
  constexpr size_t kInOne = 2000;
  for (auto at = keys.begin(); at != keys.end();) {
    const MoveTable& table = *at->table;
    RETURN_IF_ERROR(MayGoOn());
    RETURN_IF_ERROR(target_->Begin());
    MoveTarget::Rows rows(*target_, table);
    const auto add = [&rows](std::string_view row) { return rows.Add(row); };
    for (size_t n = 0; at != keys.end() && at->table == &table && n < kInOne; ++n, ++at) {
      touched_[&table].insert(at->lead);
      RETURN_IF_ERROR(target_->Delete(table, at->where));
      RETURN_IF_ERROR(source_->Read(table, at->where, add));
    }
    RETURN_IF_ERROR(rows.Finish());
    RETURN_IF_ERROR(target_->Commit());
  }
  return absl::OkStatus();
}

absl::Status Move::Stop() {
  Tell(Phase::kStop, nullptr, "nothing is written from here on");
  stopped_at_ = steady_clock::now();
  writers_.mail.Close(base::Unavailable(kMoving));
  writers_.others.Close(base::Unavailable(kMoving));
  stopped_ = true;
  if (while_stopped) RETURN_IF_ERROR(while_stopped());
  RETURN_IF_ERROR(Apply(writers_.mail.TakeWritten()));
  RETURN_IF_ERROR(RefreshSmall());
  RETURN_IF_ERROR(CompareTouched());
  RETURN_IF_ERROR(CompareCounts());
  RETURN_IF_ERROR(CompareSmall());
  RETURN_IF_ERROR(NameMessageFolder());
  RETURN_IF_ERROR(MayGoOn());
  RETURN_IF_ERROR(Finish());
  result_.stop_ms = MillisSince(stopped_at_);
  return absl::OkStatus();
}

absl::Status Move::MayGoOn() const {
  if (cancelled_) return absl::CancelledError("cancelled");
  if (!StoppedForLong()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kDeadlineExceeded,
                     "writing would have stopped for more than a minute; try again when less mail "
                     "comes, or with a faster database");
}

bool Move::StoppedForLong() const {
  return stopped_ && steady_clock::now() - stopped_at_ >= kLongestStop;
}

void Move::Count(const MoveTable& table, uint64_t rows) {
  result_.rows += rows;
  done_ += rows;
  if (steady_clock::now() - told_ < kTellEvery) return;
  Tell(Phase::kCopy, &table);
}

void Move::Tell(Phase phase, const MoveTable* table, std::string note) {
  told_ = steady_clock::now();
  MoveProgress progress;
  progress.phase = phase;
  if (table != nullptr) progress.table = table->target;
  // Rows come while it copies.
  progress.total = std::max(total_, done_);
  progress.done = done_;
  progress.note = std::move(note);
  tell_(progress);
}

}  // namespace posthorn::store_service
