#include "store-service/collector/row_check.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

using Rows = std::vector<AccountRow>;

absl::StatusOr<Rows> AccountsAfter(Database& database, AccountId after) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  return snapshot->Accounts(after, 1000);
}

// On the lane, with all columns loaded, so nothing changes in between.
struct Comparison {
  uint64_t messages = 0;
  std::vector<std::string> differences;
};

void Compare(std::string_view what, uint64_t counter, uint64_t rows, const std::string& where,
             Comparison& result) {
  if (counter == rows) return;
  result.differences.push_back(
      base::StrCat(where, ": ", what, " is ", counter, ", the rows say ", rows));
}

MailboxTotals Sum(const Mailbox& mailbox) {
  MailboxTotals totals;
  for (const MessageColumns& row : mailbox.columns) {
    ++totals.messages;
    totals.unseen += (row.flags & kSeen) == 0 ? 1 : 0;
    totals.deleted += (row.flags & kDeleted) != 0 ? 1 : 0;
    totals.size += row.size;
    totals.highest_uid = std::max(totals.highest_uid, row.uid);
    totals.highest_modseq = std::max(totals.highest_modseq, row.modseq);
  }
  return totals;
}

void CompareMailbox(const Mailbox& mailbox, const MailboxTotals& totals, Comparison& result) {
  const MailboxRow& row = mailbox.row;
  const std::string where = base::StrCat("account ", row.account, " mailbox ", row.mailbox);
  Compare("messages", row.messages, totals.messages, where, result);
  Compare("unseen", row.unseen, totals.unseen, where, result);
  Compare("deleted", row.deleted, totals.deleted, where, result);
  Compare("size", row.size, totals.size, where, result);
  Compare("uidnext", row.uid_next, std::max(row.uid_next, totals.highest_uid + 1), where, result);
  Compare("highestmodseq", row.modseq, std::max(row.modseq, totals.highest_modseq), where, result);
}

absl::StatusOr<Comparison> CheckAccount(Change& change, Repair repair) {
  Comparison result;
  uint64_t bytes = 0;
  AccountMemory& account = change.account();
  std::vector<std::pair<Mailbox*, MailboxTotals>> wrong;
  for (auto& [id, mailbox] : account.mailboxes) {
    const MailboxTotals totals = Sum(mailbox);
    const size_t before = result.differences.size();
    CompareMailbox(mailbox, totals, result);
    if (result.differences.size() != before) wrong.emplace_back(&mailbox, totals);
    result.messages += totals.messages;
    bytes += totals.size;
  }
  const std::string where = base::StrCat("account ", account.row.account);
  Compare("bytes used", account.row.used_bytes, bytes, where, result);
  Compare("messages", account.row.used_count, result.messages, where, result);
  if (repair == Repair::kNo || result.differences.empty()) return result;
  for (const auto& [mailbox, totals] : wrong) change.SetCounters(*mailbox, totals);
  change.SetUsage(bytes, result.messages);
  return result;
}

std::vector<MailboxId> AllMailboxes(AccountMemory& account) {
  std::vector<MailboxId> all;
  for (const auto& [id, mailbox] : account.mailboxes) all.push_back(id);
  return all;
}

}  // namespace

net::Task<absl::StatusOr<uint64_t>> CheckCounters(LaneEngine& lanes, Repair repair,
                                                  std::function<void(RowFinding)> finding) {
  uint64_t messages = 0;
  for (AccountId after = 0;;) {
    CO_ASSIGN_OR_RETURN(const Rows rows,
                        co_await lanes.readers().Run([database = &lanes.database(), after] {
                          return AccountsAfter(*database, after);
                        }));
    if (rows.empty()) co_return messages;
    for (const AccountRow& row : rows) {
      after = row.account;
      if (!lanes.held(base::LaneOf(row.account))) continue;  // its owner's business
      CO_ASSIGN_OR_RETURN(
          const Comparison result,
          co_await lanes.Run<Comparison>(row.account, AllMailboxes, [repair](Change& change) {
            return CheckAccount(change, repair);
          }));
      messages += result.messages;
      for (const std::string& line : result.differences) {
        finding({line,
                 repair == Repair::kYes ? RowFinding::Repaired::kYes : RowFinding::Repaired::kNo});
      }
    }
  }
}

}  // namespace posthorn::store_service
