#pragma once

// What the tests of MailQueue share: a store, a directory, other hosts and reports that remember
// what they were given, over a journal of files or one in memory whose writes can fail.

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/journal/local_journal.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/testing/run_task.h"
#include "posthorn/store/v1/mailboxes.pb.h"

namespace posthorn::delivery_queue {

using queue::v1::Entry;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;
using store::v1::DeliverReply;
using store::v1::DeliverRequest;
using store::v1::DeliveryResult;
using store::v1::ResolveReply;

// A store that remembers, as the real one does by delivery id, what it was given.
class FakeStore : public Deliverer {
 public:
  net::Task<absl::StatusOr<DeliverReply>> Deliver(DeliverRequest request) override {
    if (failures > 0) {
      --failures;
      co_return base::Unavailable("down");
    }
    DeliverReply reply;
    for (const auto& delivery : request.deliveries()) {
      order.push_back(delivery.account());
      if (lost) {
        reply.add_results()->set_outcome(DeliveryResult::NO_BLOB);
        continue;
      }
      if (!unknown.contains(delivery.account()))
        ++copies[{delivery.message_id(), delivery.account()}];
      reply.add_results()->set_outcome(unknown.contains(delivery.account())
                                           ? DeliveryResult::UNKNOWN_ACCOUNT
                                           : DeliveryResult::DELIVERED);
    }
    co_return reply;
  }
  uint32_t PlaceOf(uint64_t account) const override {
    const auto found = places.find(account);
    return found == places.end() ? 1 : found->second;
  }
  std::map<uint64_t, uint32_t> places;
  std::map<std::pair<std::string, uint64_t>, int> copies;
  std::vector<uint64_t> order;
  std::set<uint64_t> unknown;
  bool lost = false;  // the bytes of all messages
  int failures = 0;
};

class FakeDirectory : public Directory {
 public:
  net::Task<absl::StatusOr<ResolveReply>> Resolve(std::string address) override {
    const auto found = replies.find(address);
    if (found != replies.end()) co_return found->second;
    ResolveReply unknown;
    unknown.set_kind(ResolveReply::UNKNOWN);
    co_return unknown;
  }
  void Account(const std::string& address, uint64_t account) {
    replies[address].set_kind(ResolveReply::ACCOUNT);
    replies[address].set_account(account);
  }
  void Alias(const std::string& address, const std::vector<std::string>& targets) {
    replies[address].set_kind(ResolveReply::ALIAS);
    for (const std::string& target : targets) replies[address].add_targets(target);
  }
  std::map<std::string, ResolveReply> replies;
};

class FakeRemote : public RemoteDelivery {
 public:
  void Submit(RemoteJob job) override {
    for (const int recipient : job.recipients) {
      const std::string address = job.entry->entry().recipients(recipient).address();
      attempts.push_back(address);
      RemoteOutcome outcome;
      if (!outcomes[address].empty()) {
        outcome = outcomes[address].front();
        outcomes[address].pop_front();
      }
      job.done(recipient, outcome);
    }
  }
  std::vector<std::string> attempts;
  std::map<std::string, std::deque<RemoteOutcome>> outcomes;
};

class FakeReports : public ReportWriter {
 public:
  net::Task<absl::StatusOr<std::optional<Entry>>> Write(ReportRequest request) override {
    const bool failed = request.action == ReportRequest::Action::kFailed;
    if (!failure.ok()) co_return failure;
    for (const int i : request.recipients) {
      (failed ? bounced : delayed).push_back(request.entry->entry().recipients(i).address());
      statuses.push_back(request.entry->states(i).status());
      replies.push_back(request.entry->states(i).last_reply());
    }
    Entry dsn;
    const auto parent = *base::MessageId::FromBytes(request.entry->entry().message_id());
    dsn.set_message_id(
        std::string(base::MessageId::Derive(parent, failed ? "dsn" : "delay").bytes()));
    dsn.mutable_blob()->set_key(99);
    dsn.set_received_ms(base::WallMillis());
    dsn.add_recipients()->set_address(request.entry->entry().sender());
    co_return std::optional<Entry>(std::move(dsn));
  }
  std::vector<std::string> bounced;
  std::vector<std::string> delayed;
  std::vector<std::string> statuses;
  std::vector<std::string> replies;
  absl::Status failure;
};

// As the journal in the store: it can refuse what is written, and may bring what others left.
class MemoryJournal final : public Journal {
 public:
  explicit MemoryJournal(net::Loop& loop) : loop_(loop) {}
  void Put(EntryKey key, uint64_t, std::string record, Stored stored) override {
    ++puts[key];
    const bool refused = refuse && refuse(key);
    if (!refused) records[key] = std::move(record);
    if (held) return held->push_back(std::move(stored));
    loop_.Post([stored = std::move(stored), refused] {
      stored(refused ? base::Exhausted("no room") : absl::OkStatus());
    });
  }
  void Done(EntryKey key, Urgency) override { records.erase(key); }
  net::Task<absl::StatusOr<std::string>> Read(EntryKey key) override {
    if (!away.ok()) co_return away;
    const auto found = records.find(key);
    if (found == records.end()) co_return base::NotFound("finished");
    co_return found->second;
  }
  net::Task<absl::Status> ForEach(Visit visit) override {
    for (const auto& [key, record] : records) visit(key, record);
    co_return absl::OkStatus();
  }
  std::string id() const override { return std::string(16, 'j'); }
  Usage usage() const override { return {}; }
  void SetHeir(Heir h) override { heir = std::move(h); }
  void Release() {
    const std::optional<std::vector<Stored>> answers = std::exchange(held, std::nullopt);
    for (const Stored& stored : *answers) stored(absl::OkStatus());
  }
  // A record that is moved here, and told.
  void Inherit(EntryKey key, const StoredEntry& stored) {
    records.try_emplace(key, stored.SerializeAsString());
    heir.visit(key, stored.SerializeAsString());
  }

  std::map<EntryKey, std::string> records;
  std::map<EntryKey, int> puts;
  std::function<bool(EntryKey)> refuse;
  absl::Status away;                        // what reads say
  std::optional<std::vector<Stored>> held;  // answers that are on their way for long
  Heir heir;

 private:
  net::Loop& loop_;
};

class MailQueueTest : public ::testing::Test {
 protected:
  MailQueueTest() {
    char name[] = "/tmp/posthorn-queue-XXXXXX";
    directory_path_ = mkdtemp(name);
    directory_.Account("alice@a.test", 1);
    directory_.Account("bob@a.test", 2);
    Start();
  }
  ~MailQueueTest() override {
    Stop();
    std::filesystem::remove_all(directory_path_);
  }

  void Start(std::unique_ptr<Journal> journal = nullptr) {
    journal_ = std::move(journal);
    if (!journal_)
      journal_ = *OpenLocalJournal(loop_, file::Real(), {directory_path_ + "/journal"});
    local_ = std::make_unique<LocalDelivery>(loop_, store_, journal_->id(),
                                             [this] { return queue_->Oldest(); });
    queue_ = std::make_unique<MailQueue>(
        MailQueue::Parts{loop_, *journal_, directory_, *local_, remote_, reports_,
                         [this](common::v1::Event event) { steps_.push_back(event.step()); }},
        limits_);
    ASSERT_TRUE(testing::RunTask(loop_, queue_->Recover()).ok());
  }
  void Stop() {
    queue_.reset();
    local_.reset();
    journal_.reset();
  }

  void Restart() {
    Stop();
    Start();
  }
  // On the oldest entry.
  void Act(MailQueue::Action action) {
    loop_.Spawn("test.act",
                [](MailQueue& queue, EntryKey key, MailQueue::Action what) -> net::Task<void> {
                  EXPECT_TRUE(co_await queue.Act(key, what));
                }(*queue_, queue_->Keys(nullptr, 1).at(0), action));
  }
  void Retry() { Act(MailQueue::Action::kRetry); }
  static RemoteOutcome Later(const std::string& reply) {
    return {RemoteOutcome::Kind::kDeferred, reply, "4.3.0", "mx.far.test", true};
  }

  Entry Message(const std::string& sender, const std::vector<std::string>& recipients) {
    Entry entry;
    entry.set_message_id(std::string(base::MessageId::New().bytes()));
    entry.mutable_blob()->set_key(7);
    entry.set_sender(sender);
    entry.set_received_ms(base::WallMillis());
    for (const std::string& address : recipients) {
      auto* recipient = entry.add_recipients();
      recipient->set_address(address);
      recipient->set_remote(address.ends_with("@far.test"));
    }
    return entry;
  }
  absl::Status Accept(Entry entry) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    queue_->Accept(std::move(entry),
                   [answer](absl::Status status) { *answer = std::move(status); });
    RunUntil([&] { return answer->has_value(); });
    return answer->value_or(base::Internal("no answer"));
  }
  void RunUntil(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::unique_ptr<net::Loop::Timer> timer;
    std::function<void()> check = [&] {
      if (done() || std::chrono::steady_clock::now() > limit) return loop_.Stop();
      timer = loop_.After(std::chrono::milliseconds(1), check);
    };
    timer = loop_.After(std::chrono::milliseconds(1), check);
    loop_.Run();
    EXPECT_TRUE(done());
  }
  // A list of accounts 100, 101 ...
  void MakeList(const std::string& name, uint64_t members) {
    std::vector<std::string> targets;
    for (uint64_t i = 100; i < 100 + members; ++i) {
      targets.push_back(base::StrCat("m", i, "@a.test"));
      directory_.Account(targets.back(), i);
    }
    directory_.Alias(name, targets);
  }
  void RunUntilEmpty() {
    RunUntil([this] { return queue_->counts().entries == 0; });
  }

  net::Loop loop_;
  std::string directory_path_;
  FakeStore store_;
  FakeDirectory directory_;
  FakeRemote remote_;
  FakeReports reports_;
  MailQueue::Limits limits_;
  std::vector<common::v1::Event::Step> steps_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<LocalDelivery> local_;
  std::unique_ptr<MailQueue> queue_;
};

}  // namespace posthorn::delivery_queue
