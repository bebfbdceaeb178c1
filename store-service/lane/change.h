#pragma once

// How an operation changes an account: each call keeps memory, rows to be written and deltas for
// views in step. Invariants:
//  1. One modseq a Change, taken at the first write.
//  2. A Change that wrote nothing leaves no trace.

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/write_batch.h"
#include "store-service/lane/account_memory.h"
#include "store-service/lane/delta.h"

namespace posthorn::store_service {

inline constexpr uint32_t kMaxKeywords = 128;

// [RFC9051 2.3.2], the values of SystemFlag.
inline constexpr uint16_t kSeen = 1;
inline constexpr uint16_t kDeleted = 8;
inline constexpr uint16_t kAllFlags = 31;

struct NewMessage {
  uint64_t blob_key = 0;
  uint64_t blob_size = 0;
  std::string own_prefix;
  uint64_t prefix_hash = 0;
  uint32_t prefix_size = 0;
  uint16_t flags = 0;
  KeywordBits keywords;
  int64_t internal_date_ms = 0;
  int16_t zone_minutes = 0;
};

class Change {
 public:
  Change(AccountMemory& account, WriteBatch& rows, int64_t now_ms)
      : account_(&account), rows_(&rows), now_ms_(now_ms) {}

  AccountMemory& account() { return *account_; }
  WriteBatch& rows() { return *rows_; }
  int64_t now_ms() const { return now_ms_; }
  ModSeq modseq();
  // The client's operation id, told to views.
  void SetOperation(std::string operation) { operation_ = std::move(operation); }
  // Of a delivery, told to views: see Delta.
  void SetArrival(int64_t accepted_ms, std::string traceparent) {
    accepted_ms_ = accepted_ms;
    traceparent_ = std::move(traceparent);
  }

  Mailbox& CreateMailbox(std::string name, std::string special_use);
  void RenameMailbox(Mailbox& mailbox, std::string name);
  void DeleteMailbox(Mailbox& mailbox);
  // Changes that were told are lost: nothing given out before `known` may be given out again.
  // Every mailbox gets a new UIDVALIDITY.
  void BeginAnewAfter(ModSeq known);
  void Subscribe(std::string_view name, SubscriptionRow::State state);

  // True when all of `names` have or can get a bit.
  bool HasRoom(const Mailbox& mailbox, std::span<const std::string> names) const;
  // Gives names that are new a bit; call HasRoom first.
  KeywordBits Keywords(Mailbox& mailbox, std::span<const std::string> names);

  // The row as stored; its uid is the new one.
  MessageColumns Add(Mailbox& mailbox, NewMessage message);
  // `row` lies in mailbox.columns.
  void SetFlags(Mailbox& mailbox, MessageColumns& row, uint16_t flags, KeywordBits keywords);
  // Takes out all of mailbox.columns for which `goes` is true; the spans of their uids.
  std::vector<UidSpan> Expunge(Mailbox& mailbox,
                               const std::function<bool(const MessageColumns&)>& goes);
  Uid Copy(const Mailbox& source, const MessageColumns& row, Mailbox& target, KeywordBits keywords);

  // Repair: what the rows say.
  void SetCounters(Mailbox& mailbox, const MailboxTotals& totals);
  void SetUsage(uint64_t bytes, uint64_t messages);

  // Puts the reply of a client's write aside for a repeat.
  void Remember(std::string_view operation, std::string reply);

  // Writes what is coalesced; the deltas. Nothing when nothing was changed.
  std::vector<DeltaPtr> Finish();
  bool wrote() const { return modseq_ != 0; }

 private:
  Delta& DeltaOf(Mailbox& mailbox);
  void Count(Mailbox& mailbox, const MessageColumns& row, int sign);
  uint32_t NextUidValidity() const;
  void ForgetOldOperations();

  AccountMemory* account_;
  WriteBatch* rows_;
  const int64_t now_ms_;
  ModSeq modseq_ = 0;
  std::string operation_;
  int64_t accepted_ms_ = 0;
  std::string traceparent_;
  std::map<MailboxId, std::shared_ptr<Delta>> deltas_;
  std::vector<DeltaPtr> deleted_;
};

}  // namespace posthorn::store_service
