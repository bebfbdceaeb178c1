#include "tests/proof/compare.h"

#include <atomic>
#include <optional>

#include "delivery-queue/core/mail_queue.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/blob/blob_store.h"
#include "store-service/database/database.h"
#include "store-service/events/event_store.h"
#include "store-service/service/store_check.h"

namespace posthorn::proof {
namespace {

using delivery_queue::EntryKey;
using store_service::AccountImage;
using store_service::MailboxRow;
using store_service::MessageColumns;
using store_service::ReadSnapshot;

constexpr char kLast[] = "last@last.test";

std::string Name(const Place& place) { return base::StrCat(place.first, " uid ", place.second); }
std::string Name(const Message& message) {
  return base::StrCat("message ", message.number, " flags ", message.flags);
}
absl::Status Wrong(std::string what) { return base::Internal(what); }

// What one machine holds, read row by row and byte by byte.
class Reader {
 public:
  explicit Reader(Machine& machine) : machine_(machine) {}
  absl::StatusOr<Mailboxes> ReadAccount(ReadSnapshot& snapshot, const AccountImage& image) {
    Mailboxes all;
    for (const MailboxRow& mailbox : image.mailboxes) {
      RETURN_IF_ERROR(ReadMailbox(snapshot, mailbox, all));
    }
    return all;
  }

 private:
  absl::Status ReadMailbox(ReadSnapshot& snapshot, const MailboxRow& mailbox, Mailboxes& all) {
    std::optional<uint32_t> bit;
    ASSIGN_OR_RETURN(const auto keywords, snapshot.Keywords(mailbox.account, mailbox.mailbox));
    for (const auto& row : keywords) {
      if (row.name == kKeywordName) bit = row.bit;
    }
    std::vector<MessageColumns> rows;
    RETURN_IF_ERROR(snapshot.ReadColumns(mailbox.account, mailbox.mailbox, 0,
                                         [&](const MessageColumns& row) { rows.push_back(row); }));
    for (const MessageColumns& row : rows) {
      ASSIGN_OR_RETURN(const uint64_t number, ReadBytes(snapshot, mailbox, row));
      const bool keyword = bit && row.keywords.Has(*bit);
      all[{mailbox.name, row.uid}] = {number, row.flags | (keyword ? kKeyword : 0)};
    }
    return absl::OkStatus();
  }

  // The number of the message, whose bytes are exactly what was sent.
  absl::StatusOr<uint64_t> ReadBytes(ReadSnapshot& snapshot, const MailboxRow& mailbox,
                                     const MessageColumns& row) {
    const std::string where = Name(Place{mailbox.name, row.uid});
    ASSIGN_OR_RETURN(const auto place,
                     snapshot.FindPlace(mailbox.account, mailbox.mailbox, row.uid));
    if (!place) return Wrong(where + ": no place");
    ASSIGN_OR_RETURN(const uint64_t number, NumberAt(place->blob_key, place->blob_size, where));
    if (!place->prefix.empty() && !place->prefix.ends_with(PrefixOf(number)))
      return Wrong(base::StrCat(where, ": wrong prefix ", place->prefix));
    if (row.size != place->prefix.size() + place->blob_size) return Wrong(where + ": wrong size");
    return number;
  }
  absl::StatusOr<uint64_t> NumberAt(uint64_t key, uint64_t size, const std::string& where) {
    uint64_t& number = numbers_[key];
    if (number != 0) return number;
    const absl::StatusOr<std::string> body = machine_.blobs().Read({key, size}, 0, 0);
    if (!body.ok()) return Wrong(base::StrCat(where, ": ", base::Message(body.status())));
    number = NumberOf(*body);
    if (*body != BodyOf(number)) return Wrong(where + ": wrong bytes");
    return number;
  }

  Machine& machine_;
  std::map<uint64_t, uint64_t> numbers_;
};

// The first difference, or "".
std::string Difference(Mailboxes actual, const Expected::Account& expected) {
  for (const auto& [place, message] : expected.placed) {
    const auto found = actual.find(place);
    if (found == actual.end()) return base::StrCat(Name(place), ": ", Name(message), " is lost");
    if (found->second != message)
      return base::StrCat(Name(place), ": ", Name(found->second), " instead of ", Name(message));
    actual.erase(found);
  }
  std::set<uint64_t> arrives = expected.arrives;
  std::set<uint64_t> may = expected.may_arrive;
  for (const auto& [place, message] : actual) {
    if (place.first != "INBOX" || message.flags != 0)
      return base::StrCat(Name(place), ": ", Name(message), " from nowhere");
    if (arrives.erase(message.number) + may.erase(message.number) == 0)
      return base::StrCat(Name(place), ": ", Name(message), " is there twice or was never sent");
  }
  if (!arrives.empty()) return base::StrCat("accepted message ", *arrives.begin(), " is lost");
  return "";
}

std::string Behind(const AccountImage& image, const Expected::Account& expected) {
  std::set<std::string> missing = expected.mailboxes;
  for (const MailboxRow& row : image.mailboxes) {
    missing.erase(row.name);
    const auto told = expected.reached.find(row.name);
    if (told != expected.reached.end() && row.modseq < told->second)
      return base::StrCat(row.name, ": modseq ", row.modseq, " though ", told->second, " was told");
    for (const auto& [place, message] : expected.placed) {
      if (place.first == row.name && place.second >= row.uid_next)
        return base::StrCat(Name(place), " is not below the next uid");
    }
  }
  return missing.empty() ? "" : base::StrCat("mailbox ", *missing.begin(), " is lost");
}

absl::Status CheckMailboxes(Machine& machine, const Expected& expected) {
  Reader reader(machine);
  ASSIGN_OR_RETURN(const auto snapshot, machine.database().OpenSnapshot());
  for (const auto& [id, account] : expected.accounts) {
    ASSIGN_OR_RETURN(const AccountImage image, snapshot->LoadAccount(id));
    ASSIGN_OR_RETURN(const Mailboxes actual, reader.ReadAccount(*snapshot, image));
    std::string what = Difference(actual, account);
    if (!what.empty() && account.under_way) {
      Expected::Account done = account;
      Apply(*account.under_way, done);
      if (Difference(actual, done).empty()) what.clear();
    }
    if (what.empty()) what = Behind(image, account);
    if (!what.empty()) return Wrong(base::StrCat("account ", id, ": ", what));
  }
  return absl::OkStatus();
}

// Nothing here may block or change: what waits for a remote host is in the journal once.
net::Task<absl::Status> CheckQueue(Machine& machine, const Expected& expected) {
  std::set<uint64_t> waits = expected.remote;
  std::set<uint64_t> may = expected.may_remote;
  for (const uint64_t number : expected.remote) may.erase(number);
  for (const EntryKey& key : machine.queue().Keys(nullptr, SIZE_MAX)) {
    CO_ASSIGN_OR_RETURN(const queue::v1::StoredEntry stored, co_await machine.queue().Look(key));
    const auto& blob = stored.entry().blob();
    CO_ASSIGN_OR_RETURN(const std::string body,
                        machine.blobs().Read({blob.key(), blob.size()}, 0, 0));
    const uint64_t number = NumberOf(body);
    if (waits.erase(number) + may.erase(number) == 0)
      co_return Wrong(base::StrCat("queue: message ", number, " twice or from nowhere"));
  }
  if (!waits.empty())
    co_return Wrong(base::StrCat("queue: remote message ", *waits.begin(), " is lost"));
  co_return absl::OkStatus();
}

absl::Status CheckStore(Machine& machine) {
  std::string first;
  const std::atomic<bool> stop = false;
  store_service::StoreCheck check(
      machine.database(), machine.blobs(),
      [&first](store_service::CheckSay say, std::string line) {
        if (say == store_service::CheckSay::kProblem && first.empty()) first = std::move(line);
      },
      stop);
  RETURN_IF_ERROR(check.Run());
  if (check.findings().problems > 0) return Wrong("store check: " + first);
  return absl::OkStatus();
}

absl::Status CheckTrace(Machine& machine, const Expected& expected) {
  ASSIGN_OR_RETURN(const store_service::EventResult found,
                   machine.events().Search({.limit = 1'000'000}));
  std::set<std::string> missing = expected.traced;
  for (const common::v1::Event& event : found.events) missing.erase(event.message_id());
  if (!missing.empty())
    return Wrong(base::StrCat("trace: ", missing.size(), " of ", expected.traced.size(), " lost"));
  return absl::OkStatus();
}

// A last message, a last flag, a last account: the machine has not only kept, it goes on.
net::Task<absl::Status> GoesOn(Machine& machine) {
  CO_RETURN_IF_ERROR(
      co_await machine.Commit("Domain", "last.test", config::v1::Domain().SerializeAsString()));
  CO_RETURN_IF_ERROR(
      co_await machine.Commit("Account", kLast, config::v1::Account().SerializeAsString()));
  const base::AccountId account = machine.AccountOf(kLast);
  constexpr uint64_t kNumber = 1'000'000;
  CO_RETURN_IF_ERROR(co_await Send(machine, kLast, kNumber));
  CO_RETURN_IF_ERROR(co_await machine.Drain());
  Expected last;
  last.accounts[account].arrives.insert(kNumber);
  co_return CheckMailboxes(machine, last);
}

net::Task<absl::Status> Check(Machine& machine, const Expected& expected) {
  for (const std::string& address : expected.addresses) {
    if (machine.AccountOf(address) == 0) co_return Wrong(address + " is lost");
  }
  CO_RETURN_IF_ERROR(co_await machine.Drain());
  if (!expected.journal.empty() && machine.journal_id() != expected.journal)
    co_return Wrong("the journal has another id: the collector waits for the old one for ever");
  if (!expected.journal.empty() && !machine.journals_found().contains(expected.journal))
    co_return Wrong("the collector has forgotten the journal");
  CO_RETURN_IF_ERROR(CheckMailboxes(machine, expected));
  CO_RETURN_IF_ERROR(co_await CheckQueue(machine, expected));
  CO_RETURN_IF_ERROR(CheckStore(machine));
  CO_RETURN_IF_ERROR(CheckTrace(machine, expected));
  CO_RETURN_IF_ERROR(co_await GoesOn(machine));
  CO_RETURN_IF_ERROR(co_await CollectAll(machine));
  Expected still = expected;
  still.accounts.erase(machine.AccountOf(kLast));  // if all others were lost, it has one's number
  CO_RETURN_IF_ERROR(CheckMailboxes(machine, still));
  co_return CheckStore(machine);
}

}  // namespace

absl::StatusOr<std::map<base::AccountId, Mailboxes>> ReadMailboxes(
    Machine& machine, const std::set<base::AccountId>& accounts) {
  Reader reader(machine);
  std::map<base::AccountId, Mailboxes> all;
  ASSIGN_OR_RETURN(const auto snapshot, machine.database().OpenSnapshot());
  for (const base::AccountId account : accounts) {
    ASSIGN_OR_RETURN(const AccountImage image, snapshot->LoadAccount(account));
    ASSIGN_OR_RETURN(all[account], reader.ReadAccount(*snapshot, image));
  }
  return all;
}

net::Task<absl::Status> Send(Machine& machine, std::string address, uint64_t number) {
  queue::v1::Entry entry;
  CO_ASSIGN_OR_RETURN(*entry.mutable_blob(), co_await machine.Put(BodyOf(number)));
  entry.set_message_id(std::string(base::MessageId::New().bytes()));
  entry.set_prefix(PrefixOf(number));
  entry.set_received_ms(base::WallMillis());
  entry.add_recipients()->set_address(std::move(address));
  co_return co_await machine.Accept(std::move(entry));
}

net::Task<absl::Status> CollectAll(Machine& machine) {
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t start = base::WallMillis() + 1000 * 24 * kHourMs;
  for (const int64_t later : {0, 25, 27}) {
    CO_RETURN_IF_ERROR(co_await machine.CollectGarbage(start + later * kHourMs));
  }
  co_return absl::OkStatus();
}

std::string WrongWith(Machine& machine, const Expected& expected) {
  const absl::Status status = testing::RunTask(machine.loop(), Check(machine, expected));
  return status.ok() ? "" : std::string(base::Message(status));
}

}  // namespace posthorn::proof
