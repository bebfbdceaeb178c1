#include "tests/proof/workload.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/events/event_store.h"
#include "tests/proof/imap_client.h"

namespace posthorn::proof {
namespace {

namespace config = posthorn::config::v1;
constexpr char kDomain[] = "here.test";
constexpr char kEverybody[] = "everybody@here.test";

}  // namespace

std::string AddressOf(int account) { return base::StrCat("a", account, "@", kDomain); }

Workload::Workload(Ledger& ledger, WorkloadOptions options)
    : ledger_(ledger), options_(std::move(options)) {}
Workload::~Workload() = default;

absl::Status Workload::Prepare(Machine& machine) {
  return testing::RunTask(machine.loop(), Prepared(machine));
}

net::Task<absl::Status> Workload::Prepared(Machine& machine) {
  CO_RETURN_IF_ERROR(
      co_await machine.Commit("Domain", kDomain, config::Domain().SerializeAsString()));
  // The first round waits until the journal attends.
  CO_RETURN_IF_ERROR(co_await machine.CollectGarbage(base::WallMillis()));
  ledger_.Say({.kind = Fact::Kind::kJournal, .name = machine.journal_id()});
  config::Alias everybody;
  for (int i = 0; i < options_.accounts; ++i) {
    CO_RETURN_IF_ERROR(
        co_await machine.Commit("Account", AddressOf(i), config::Account().SerializeAsString()));
    ledger_.Say({.kind = Fact::Kind::kAccount, .name = AddressOf(i)});
    everybody.add_targets(AddressOf(i));
    accounts_.push_back(machine.AccountOf(AddressOf(i)));
    clients_.push_back(std::make_unique<ImapClient>(*this, accounts_.back()));
    CO_RETURN_IF_ERROR(co_await clients_.back()->MakeMailboxes(machine));
  }
  co_return co_await machine.Commit("Alias", kEverybody, everybody.SerializeAsString());
}

absl::Status Workload::Phase(Machine& machine) {
  ++phase_;
  net::Loop& loop = machine.loop();
  running_ = options_.senders + static_cast<int>(clients_.size()) + 2;
  for (int i = 0; i < options_.senders; ++i) loop.Spawn("send", Count(Send(machine, i)));
  for (auto& client : clients_) {
    loop.Spawn("client", Count(client->Run(machine, options_.commands)));
  }
  loop.Spawn("operator", Count(Operate(machine)));
  loop.Spawn("collector", Count(Collect(machine)));
  return testing::RunTask(loop, Finished(machine));
}

net::Task<void> Workload::Count(net::Task<absl::Status> client) {
  const absl::Status status = co_await std::move(client);
  if (!status.ok()) failure_ = status;
  --running_;
}

net::Task<absl::Status> Workload::Finished(Machine& machine) {
  while (running_ > 0) co_await net::Sleep(machine.loop(), std::chrono::milliseconds(1));
  CO_RETURN_IF_ERROR(failure_);
  co_return co_await machine.Drain();
}

net::Task<absl::Status> Workload::Send(Machine& machine, int sender) {
  std::mt19937_64 random(options_.seed * 7919 + static_cast<uint64_t>(phase_ * 100 + sender));
  for (int i = 0; i < options_.messages; ++i) {
    CO_RETURN_IF_ERROR(co_await SendOne(machine, random));
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::SendOne(Machine& machine, std::mt19937_64& random) {
  Fact fact{.number = NextNumber()};
  queue::v1::Entry entry;
  const uint64_t choice = random() % 8;
  fact.remote = choice == 0;
  if (choice == 1) {  // not resolved by the gateway: the queue expands it
    fact.accounts = accounts_;
    entry.add_recipients()->set_address(kEverybody);
  } else {
    const size_t first = random() % accounts_.size();
    const size_t count = 1 + random() % 2;
    for (size_t i = first; i < first + count; ++i) {
      const size_t at = i % accounts_.size();
      fact.accounts.push_back(accounts_[at]);
      queue::v1::Recipient* recipient = entry.add_recipients();
      recipient->set_address(AddressOf(static_cast<int>(at)));
      recipient->set_account(accounts_[at]);
    }
  }
  if (fact.remote) {
    entry.add_recipients()->set_address("somebody@far.test");
    entry.mutable_recipients()->rbegin()->set_remote(true);
  }
  ledger_.Say(fact);
  CO_ASSIGN_OR_RETURN(*entry.mutable_blob(), co_await Put(machine, fact.number));
  entry.set_message_id(std::string(base::MessageId::New().bytes()));
  entry.set_prefix(PrefixOf(fact.number));
  entry.set_sender("sender@far.test");
  entry.set_received_ms(base::WallMillis());
  const std::string message_id = entry.message_id();
  CO_RETURN_IF_ERROR(co_await machine.Accept(std::move(entry)));
  fact.kind = Fact::Kind::kAccepted;
  ledger_.Say(fact);
  young_.erase(fact.number);
  Trace(machine, message_id);
  if (fact.number % 3 == 0) co_return co_await Abandon(machine);
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<common::v1::BlobId>> Workload::Put(Machine& machine, uint64_t number) {
  young_.insert(number);
  CO_ASSIGN_OR_RETURN(common::v1::BlobId blob, co_await machine.Put(BodyOf(number)));
  numbers_[blob.key()] = number;
  co_return blob;
}

// A client that went away before the end: nothing ever refers to these bytes.
net::Task<absl::Status> Workload::Abandon(Machine& machine) {
  const uint64_t number = NextNumber();
  CO_RETURN_IF_ERROR((co_await Put(machine, number)).status());
  young_.erase(number);
  co_return absl::OkStatus();
}

void Workload::Trace(Machine& machine, const std::string& message_id) {
  common::v1::Event event;
  event.set_time_ms(static_cast<uint64_t>(base::WallMillis()));
  event.set_message_id(message_id);
  event.set_step(common::v1::Event::ACCEPTED);
  machine.events().Record({event});
  traced_.push_back(message_id);
}

void Workload::Ended() {
  for (const std::string& id : traced_) ledger_.Say({.kind = Fact::Kind::kTraced, .name = id});
  traced_.clear();
}

// Rounds of the store's collector beside everything else, far enough from each other that each does
// what the one before prepared.
net::Task<absl::Status> Workload::Collect(Machine& machine) {
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t start = base::WallMillis() + phase_ * 30 * 24 * kHourMs;
  for (const int64_t later : {0, 25, 27}) {
    CO_RETURN_IF_ERROR(co_await machine.CollectGarbage(start + later * kHourMs));
    // What was on its way during a round has arrived long before the next one.
    const std::set<uint64_t> young = young_;
    const auto still = [&] {
      return std::ranges::any_of(young, [&](uint64_t number) { return young_.contains(number); });
    };
    while (still()) co_await net::Sleep(machine.loop(), std::chrono::milliseconds(1));
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::Operate(Machine& machine) {
  for (int i = 0; i < 3; ++i) {
    const std::string address = base::StrCat("new", phase_, "-", i, "@", kDomain);
    CO_RETURN_IF_ERROR(
        co_await machine.Commit("Account", address, config::Account().SerializeAsString()));
    ledger_.Say({.kind = Fact::Kind::kAccount, .name = address});
    co_await net::Sleep(machine.loop(), std::chrono::milliseconds(5));
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::proof
