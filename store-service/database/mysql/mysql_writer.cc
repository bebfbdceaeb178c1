#include "store-service/database/mysql/mysql_writer.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/batch_rows.h"
#include "store-service/database/mysql/error.h"
#include "store-service/database/mysql/fenced_lanes.h"
#include "store-service/database/mysql/script.h"

namespace posthorn::store_service {
namespace {

using mysql::Cursor;
using mysql::Script;
using mysql::Transaction;

// Losing so often in a row, with growing pauses, takes about two seconds.
constexpr int kTries = 9;
constexpr std::chrono::milliseconds kFirstPause(2);
// A link that breaks again and again is an outage: the caller decides how long to wait for its end.
constexpr int kLinks = 2;

constexpr char kAcquire[] = "UPDATE lane SET owner=?, epoch=epoch+1, expires=" POSTHORN_MYSQL_NOW
                            "+? WHERE lane=? AND (owner=? OR expires<=" POSTHORN_MYSQL_NOW ")";
constexpr char kRelease[] = "UPDATE lane SET owner='', expires=0 WHERE lane=? AND epoch=?";
constexpr char kTouch[] = "UPDATE lane SET touched=touched+1 WHERE lane=?";
constexpr char kReadLane[] = "SELECT owner, epoch, batch, expires FROM lane WHERE lane=?";
constexpr char kPruneDeliveries[] = "DELETE FROM delivery WHERE time<? AND " POSTHORN_MYSQL_OF_LANES
                                    " ORDER BY time, account, message_id, copy LIMIT ?";
constexpr char kPruneExpunges[] = "DELETE FROM expunge WHERE time<? AND " POSTHORN_MYSQL_OF_LANES
                                  " ORDER BY time, account, mailbox, modseq, uid LIMIT ?";
// What will be pruned is no longer known: who asks from before it gets a whole snapshot.
constexpr char kRaiseFloors[] =
    "UPDATE mailbox JOIN (SELECT account, mailbox, max(modseq) AS modseq FROM"
    " (SELECT account, mailbox, modseq FROM expunge WHERE time<? AND " POSTHORN_MYSQL_OF_LANES
    " ORDER BY time, account, mailbox, modseq, uid LIMIT ?) AS gone GROUP BY account, mailbox)"
    " AS floor ON mailbox.account=floor.account AND mailbox.mailbox=floor.mailbox"
    " SET mailbox.log_floor=greatest(mailbox.log_floor, floor.modseq)";

void Pause(int lost) {
  static thread_local std::minstd_rand random(std::random_device{}());
  const auto longest = kFirstPause * (1 << std::min(lost, 8));
  const auto shortest = longest / 2;
  std::this_thread::sleep_for(shortest + longest * (random() % 1000) / 2000);
}

absl::StatusOr<LaneRow> LaneNow(mysql::Connection& connection, uint32_t lane) {
  Cursor read = connection.Query(kReadLane, lane);
  ASSIGN_OR_RETURN(const bool found, read.Next());
  if (!found) return base::NotFound(base::StrCat("lane ", lane));
  return LaneRow{lane, std::string(read.Text(0)), read.Unsigned(1), read.Unsigned(2), read.Int(3)};
}

// Copies need no look-up: their source's row refers to the blob, so it is not condemned.
std::string CountCondemned(const WriteBatch& batch) {
  if (batch.messages.empty()) return "0";
  std::string text = "(SELECT count(*) FROM condemned WHERE blob_key IN (";
  for (const MessageRow& row : batch.messages) base::StrAppend(text, row.columns.blob_key, ",");
  text.back() = ')';
  return text + ")";
}

absl::Status TakenOver(const Fence& fence) {
  return base::Aborted(
      base::StrCat("lane ", fence.empty() ? 0 : fence.front().lane,
                   fence.size() > 1 ? " or another was taken over" : " was taken over"));
}

}  // namespace

MysqlWriter::MysqlWriter(std::unique_ptr<mysql::Connection> connection)
    : connection_(std::move(connection)) {}

absl::Status MysqlWriter::Transact(Repeat repeat, const std::function<absl::Status()>& body) {
  const auto once = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*connection_));
    RETURN_IF_ERROR(body());
    return transaction.Commit();
  };
  int links = 0;
  for (int lost = 0;;) {
    const absl::Status status = once();
    if (mysql::IsRetry(status)) {
      if (++lost == kTries) {
        return base::Unavailable(
            base::StrCat("lost against others ", kTries, " times: ", base::Message(status)));
      }
      Pause(lost);
      continue;
    }
    // Without a COMMIT nothing happened, whatever the link did.
    const bool again =
        status.code() == absl::StatusCode::kUnavailable ||
        (status.code() == absl::StatusCode::kUnknown && repeat == Repeat::kAfterUnknown);
    if (!again || ++links == kLinks) return status;
  }
}

absl::Status MysqlWriter::CheckFence(const Fence& fence) {
  if (fence.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(connection_->Execute(FenceText(fence)));
  return connection_->changes() == static_cast<int64_t>(fence.size()) ? absl::OkStatus()
                                                                      : TakenOver(fence);
}

// All in one message, judged before COMMIT: what was written under a fence that failed is rolled
// back.
absl::Status MysqlWriter::WriteBatchUnder(const Fence& fence, const WriteBatch& batch) {
  Script script(*connection_);
  int64_t lanes = 0;
  int64_t condemned = 0;
  RETURN_IF_ERROR(script.Add(FenceText(fence), &lanes));
  RETURN_IF_ERROR(script.AddValue(CountCondemned(batch), &condemned));
  absl::Status written = WriteRows(*connection_, script, batch);
  if (mysql::IsRetry(written) || written.code() == absl::StatusCode::kUnavailable) return written;
  if (!written.ok()) {
    // A key that is taken may be so by the lane's new owner: the fence has the first word.
    const auto first = connection_->Numbers(Script::Recall(0));
    const auto second = connection_->Numbers(Script::Recall(1));
    if (!first.ok() || first->empty() || !second.ok() || second->empty()) return written;
    lanes = static_cast<int64_t>(first->front());
    condemned = static_cast<int64_t>(second->front());
  }
  if (lanes != static_cast<int64_t>(fence.size())) return TakenOver(fence);
  return condemned == 0 ? written : base::NotFound("a blob of the batch is condemned");
}

absl::Status MysqlWriter::Commit(const Fence& fence, const WriteBatch& batch) {
  return Transact(Repeat::kNever, [&] { return WriteBatchUnder(fence, batch); });
}

absl::StatusOr<LaneRow> MysqlWriter::AcquireLane(uint32_t lane, std::string_view owner,
                                                 int64_t lease_ms) {
  LaneRow row;
  bool taken = false;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run(kAcquire, owner, lease_ms, lane, owner));
    taken = connection_->changes() == 1;
    ASSIGN_OR_RETURN(row, LaneNow(*connection_, lane));
    return absl::OkStatus();
  }));
  if (!taken || row.owner != owner) {
    return base::Precondition(base::StrCat("lane ", lane, " is held by ", row.owner));
  }
  return row;
}

absl::Status MysqlWriter::RenewLanes(const Fence& lanes, int64_t lease_ms) {
  if (lanes.empty()) return absl::OkStatus();
  return Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Execute(RenewText(lanes, lease_ms)));
    return connection_->changes() == static_cast<int64_t>(lanes.size()) ? absl::OkStatus()
                                                                        : TakenOver(lanes);
  });
}

absl::Status MysqlWriter::ReleaseLane(uint32_t lane, uint64_t epoch) {
  return Transact(Repeat::kAfterUnknown, [&] { return connection_->Run(kRelease, lane, epoch); });
}

absl::StatusOr<LaneRow> MysqlWriter::ReadLane(uint32_t lane) {
  LaneRow row;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(connection_->Run(kTouch, lane));
    ASSIGN_OR_RETURN(row, LaneNow(*connection_, lane));
    return absl::OkStatus();
  }));
  return row;
}

absl::StatusOr<bool> MysqlWriter::PruneDeliveries(const Fence& fence, int64_t before_ms,
                                                  uint32_t limit) {
  int64_t gone = 0;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    RETURN_IF_ERROR(connection_->Run(kPruneDeliveries, before_ms, LaneMask(fence), limit));
    gone = connection_->changes();
    return absl::OkStatus();
  }));
  return gone == limit;
}

absl::StatusOr<bool> MysqlWriter::PruneExpunges(const Fence& fence, int64_t before_ms,
                                                uint32_t limit) {
  int64_t gone = 0;
  RETURN_IF_ERROR(Transact(Repeat::kAfterUnknown, [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckFence(fence));
    RETURN_IF_ERROR(connection_->Run(kRaiseFloors, before_ms, LaneMask(fence), limit));
    RETURN_IF_ERROR(connection_->Run(kPruneExpunges, before_ms, LaneMask(fence), limit));
    gone = connection_->changes();
    return absl::OkStatus();
  }));
  return gone == limit;
}

}  // namespace posthorn::store_service
