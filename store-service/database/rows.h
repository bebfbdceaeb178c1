#pragma once

// The rows of the mail tables as types. Every table leads with the account, except `body`, whose
// rows are shared by all recipients of a message. Times are milliseconds since 1970, sizes are
// bytes.

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/ids.h"

namespace posthorn::store_service {

using base::AccountId;
using base::MailboxId;
using base::ModSeq;
using base::Uid;

struct LaneRow {
  uint32_t lane = 0;
  std::string owner;
  uint64_t epoch = 0;
  uint64_t batch = 0;
  int64_t expires_ms = 0;  // by the database's clock
};

// One replica of the store, as it told of itself.
struct ReplicaRow {
  std::string name;
  std::string address;  // where other processes reach it; empty: a single one behind a socket
  std::string version;
  enum class State { kServing, kDraining } state = State::kServing;
  int64_t seen_ms = 0;     // its last beat, by the database's clock
  std::string instance;    // of the process: another one of the same name has another
  int64_t started_ms = 0;  // its first beat
};

// Who is there and who owns what, at `now_ms` by the database's clock.
struct ClusterRows {
  int64_t now_ms = 0;
  std::vector<ReplicaRow> replicas;  // by name
  std::vector<LaneRow> lanes;        // all, in order
};

struct AccountRow {
  AccountId account = 0;
  ModSeq modseq = 0;
  MailboxId next_mailbox = 1;
  uint64_t next_email_id = 1;
  uint32_t last_uid_validity = 0;
  uint64_t used_bytes = 0;
  uint64_t used_count = 0;
};

struct MailboxRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  std::string name;         // UTF-8, levels separated by "/"
  std::string special_use;  // [RFC6154] attribute with backslash, or empty
  uint32_t uid_validity = 0;
  Uid uid_next = 1;
  ModSeq modseq = 0;     // HIGHESTMODSEQ
  ModSeq log_floor = 0;  // the expunge log knows everything after this modseq
  uint32_t messages = 0;
  uint32_t unseen = 0;
  uint32_t deleted = 0;
  uint64_t size = 0;
};

// Bits 0-63 and 64-127: entry n of the mailbox's keyword names.
struct KeywordBits {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const KeywordBits&, const KeywordBits&) = default;
  void Set(uint32_t bit) { (bit < 64 ? low : high) |= uint64_t{1} << (bit % 64); }
  bool Has(uint32_t bit) const { return ((bit < 64 ? low : high) >> (bit % 64) & 1) != 0; }
};

// What views and the lane's memory hold of a message: everything of fixed size.
struct MessageColumns {
  Uid uid = 0;
  uint16_t flags = 0;  // [RFC9051 2.3.2], the sum of SystemFlag
  int16_t zone_minutes = 0;
  ModSeq modseq = 0;
  KeywordBits keywords;
  int64_t internal_date_ms = 0;
  int64_t save_date_ms = 0;
  uint64_t size = 0;  // prefix + blob
  uint64_t email_id = 0;
  uint64_t thread_id = 0;
  uint64_t blob_key = 0;
  friend bool operator==(const MessageColumns&, const MessageColumns&) = default;
};

// A stored message is own_prefix + shared prefix + blob.
struct MessageRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  MessageColumns columns;
  std::string own_prefix;
  uint64_t prefix_hash = 0;  // names the shared prefix among those of the blob; 0: none
  uint32_t prefix_size = 0;  // own and shared
  uint64_t blob_size = 0;
};

// The copy of a message under a new uid: what never changes is taken from the source's row.
struct CopyRow {
  AccountId account = 0;
  MailboxId source_mailbox = 0;
  Uid source_uid = 0;
  MailboxId mailbox = 0;
  MessageColumns columns;
};

struct FlagsRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  Uid uid = 0;
  ModSeq modseq = 0;
  uint16_t flags = 0;
  KeywordBits keywords;
};

// A message that goes: its row is deleted and remembered in the expunge log. The blob stays
// referenced from there until the undelete window has passed.
struct ExpungeRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  ModSeq modseq = 0;
  Uid uid = 0;
  uint64_t blob_key = 0;
  int64_t time_ms = 0;
};

struct KeywordRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  uint32_t bit = 0;
  std::string name;
};

struct SubscriptionRow {
  AccountId account = 0;
  std::string name;
  enum class State { kSubscribed, kUnsubscribed } state = State::kSubscribed;
};

struct DeliveryKey {
  AccountId account = 0;
  base::MessageId message_id;
  uint32_t copy = 0;
  friend auto operator<=>(const DeliveryKey&, const DeliveryKey&) = default;
};

struct DeliveryRow {
  DeliveryKey key;
  MailboxId mailbox = 0;
  Uid uid = 0;
  ModSeq modseq = 0;
  uint32_t uid_validity = 0;
  int64_t time_ms = 0;
};

// The first answer to a client's write, for a repeat of it.
struct OperationRow {
  AccountId account = 0;
  std::string operation;
  int64_t time_ms = 0;
  std::string reply;  // a serialized reply message
};

// Shared by all recipients; written when it is not there yet.
struct BodyRow {
  uint64_t blob_key = 0;
  uint64_t prefix_hash = 0;
  std::string shared_prefix;
  std::string digest;  // serialized; empty: to be made from the bytes
};

// A blob no row refers to, seen by a scan.
struct SuspectRow {
  uint64_t blob_key = 0;
  int64_t since_ms = 0;  // when a scan first found no row
};

struct DeletedMailboxRow {
  AccountId account = 0;
  MailboxId mailbox = 0;
  ModSeq modseq = 0;
  int64_t time_ms = 0;
};

}  // namespace posthorn::store_service
