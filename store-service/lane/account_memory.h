#pragma once

// An account in the lane's memory: what operations are checked against and applied to.

#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store-service/database/database.h"

namespace posthorn::store_service {

struct Mailbox {
  MailboxRow row;
  std::vector<std::string> keywords;  // entry n has bit n
  // Loaded when an operation needs them, then kept current; ordered by uid.
  enum class Columns { kNotLoaded, kLoaded } state = Columns::kNotLoaded;
  std::vector<MessageColumns> columns;
  uint64_t last_used = 0;

  bool loaded() const { return state == Columns::kLoaded; }
  size_t column_bytes() const { return columns.capacity() * sizeof(MessageColumns); }
};

struct AccountMemory {
  explicit AccountMemory(AccountImage image);

  // Null when there is none. INBOX is found in any case [RFC9051 5.1].
  Mailbox* Find(std::string_view name);
  Mailbox* Find(MailboxId id);

  AccountRow row;
  std::map<MailboxId, Mailbox> mailboxes;
  std::map<std::string, MailboxId, std::less<>> names;
  std::set<std::string, std::less<>> subscriptions;
  // First answers to clients' writes of the last minutes.
  std::map<std::string, OperationRow, std::less<>> operations;
  std::deque<std::string> operation_order;  // their ids, oldest first
  // No row yet: the first operation makes it, with INBOX and the special-use mailboxes.
  enum class Origin { kNew, kStored } origin;
};

// "inbox" in any case becomes "INBOX", also as the first level of a longer name; other names stay
// as they are.
std::string CanonicalName(std::string_view name);

}  // namespace posthorn::store_service
