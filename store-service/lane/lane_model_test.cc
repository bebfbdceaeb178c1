// Random operations under random failures, against plain maps: rows, counters and a view replayed
// from the deltas must be what the answers said.

#include <gtest/gtest.h>

#include <random>

#include "lib/testing/mariadb.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/lane/lane_fixture.h"

namespace posthorn::store_service {
namespace {

using Fault = FaultyDatabase::Fault;
using ModelBox = std::map<Uid, uint16_t>;  // uid → flags
using Model = std::map<std::pair<AccountId, MailboxId>, ModelBox>;

// A view of everything, kept by deltas alone.
class Replay final : public CommitObserver {
 public:
  void OnCommitted(const Batch& batch) override {
    for (const DeltaPtr& delta : batch.deltas) {
      ModSeq& last = modseqs_[delta->account];
      EXPECT_GE(delta->modseq, last);
      last = delta->modseq;
      auto& box = boxes[{delta->account, delta->mailbox}];
      for (const MessageColumns& row : delta->added) box[row.uid] = row.flags;
      for (const MessageColumns& row : delta->changed) box[row.uid] = row.flags;
      for (const UidSpan& span : delta->expunged) {
        for (Uid uid = span.first; uid <= span.last; ++uid) EXPECT_EQ(box.erase(uid), 1u);
      }
    }
  }
  void OnLaneLost(uint32_t) override {}
  Model boxes;

 private:
  std::map<AccountId, ModSeq> modseqs_;
};

struct Step {
  enum class Kind { kAdd, kFlags, kExpunge, kCopy } kind;
  AccountId account;
  MailboxId mailbox;
  Uid uid;
  uint16_t flags;
};

MessageColumns* FindRow(Mailbox& mailbox, Uid uid) {
  for (MessageColumns& row : mailbox.columns) {
    if (row.uid == uid) return &row;
  }
  return nullptr;
}

absl::StatusOr<Uid> ApplyStep(Change& change, const Step& step) {
  Mailbox& mailbox = *change.account().Find(step.mailbox);
  if (step.kind == Step::Kind::kAdd) return AddTo(mailbox.row.name)(change);
  MessageColumns* row = FindRow(mailbox, step.uid);
  if (row == nullptr) return absl::NotFoundError("no such uid");
  switch (step.kind) {
    case Step::Kind::kFlags:
      change.SetFlags(mailbox, *row, step.flags, {});
      return step.uid;
    case Step::Kind::kExpunge:
      change.Expunge(mailbox, [&](const MessageColumns& r) { return r.uid == step.uid; });
      return step.uid;
    default: {
      const MessageColumns copy = *row;
      return change.Copy(mailbox, copy, *change.account().Find(MailboxId{2}), {});
    }
  }
}

class LaneModelTest : public LaneTest {
 protected:
  net::Task<void> RunStep(LaneEngine& lanes, Step step) {
    const auto result = co_await lanes.Run<Uid>(
        step.account,
        [step](AccountMemory&) {
          return step.kind == Step::Kind::kAdd ? std::vector<MailboxId>()
                                               : std::vector<MailboxId>{step.mailbox};
        },
        [step](Change& change) { return ApplyStep(change, step); });
    if (result.ok()) Record(step, *result);
    if (--open_ == 0) done_->NotifyAll();
  }
  void Record(const Step& step, Uid uid) {
    ModelBox& box = model_[{step.account, step.mailbox}];
    switch (step.kind) {
      case Step::Kind::kAdd:
        box[uid] = 0;
        return;
      case Step::Kind::kFlags:
        box[uid] = step.flags;
        return;
      case Step::Kind::kExpunge:
        box.erase(uid);
        return;
      case Step::Kind::kCopy: {
        const uint16_t flags = box[step.uid];
        model_[{step.account, 2}][uid] = flags;
        return;
      }
    }
  }
  net::Task<void> Drain() {
    while (open_ > 0) co_await done_->Wait();
  }
  void ExpectRowsAreTheModel(Database& database) {
    for (const auto& [key, box] : model_) {
      ModelBox stored;
      for (const MessageColumns& row : Rows(database, key.first, key.second)) {
        stored[row.uid] = row.flags;
      }
      EXPECT_EQ(stored, box) << "account " << key.first << " mailbox " << key.second;
      auto snapshot = database.OpenSnapshot();
      const auto row = *(*snapshot)->FindMailbox(key.first, key.second);
      const auto totals = (*snapshot)->Totals(key.first, key.second);
      ASSERT_TRUE(row.has_value() && totals.ok());
      EXPECT_EQ(row->messages, totals->messages);
      EXPECT_EQ(row->unseen, totals->unseen);
      EXPECT_EQ(row->deleted, totals->deleted);
      EXPECT_EQ(row->size, totals->size);
    }
  }

  void ExpectAgreementUnderRandomFailures();

  Model model_;
  int open_ = 0;
  std::unique_ptr<net::Signal> done_ = std::make_unique<net::Signal>(loop_);
};

void LaneModelTest::ExpectAgreementUnderRandomFailures() {
  std::mt19937 random(11);
  std::mt19937 faults(5);
  LaneOptions options;
  options.max_batch_changes = 8;
  options.max_column_bytes = 0;  // columns leave memory whenever they can
  auto owner = MakeOwner(options, {1, 2, 3});
  owner->database.fault = [&faults] {
    switch (faults() % 25) {
      case 0:
        return Fault::kFailBefore;
      case 1:
        return Fault::kUnknownAfter;
      default:
        return Fault::kNone;
    }
  };
  Replay replay;
  owner->lanes.AddObserver(&replay);
  for (int round = 0; round < 150; ++round) {
    for (int i = 0; i < 20; ++i) {
      Step step;
      const uint32_t dice = random() % 10;
      step.kind = dice < 5   ? Step::Kind::kAdd
                  : dice < 7 ? Step::Kind::kFlags
                  : dice < 8 ? Step::Kind::kExpunge
                             : Step::Kind::kCopy;
      step.account = 1 + random() % 3;
      step.mailbox = 1 + random() % 3;
      step.uid = 1 + random() % (10 + static_cast<uint32_t>(round) * 2);
      step.flags = static_cast<uint16_t>(random() % 32);
      ++open_;
      loop_.Spawn("step", RunStep(owner->lanes, step));
    }
    testing::RunTask(loop_, Drain());
  }
  ExpectRowsAreTheModel(owner->database);
  for (const auto& [key, box] : model_) {
    const ModelBox seen = replay.boxes[key];
    EXPECT_EQ(seen, box);
  }
  Stop(std::move(owner));
  done_.reset();
}

TEST_F(LaneModelTest, RowsViewsAndAnswersAgreeUnderRandomFailures) {
  ExpectAgreementUnderRandomFailures();
}

class LaneModelOnMariadb : public LaneModelTest {
 protected:
  void SetUp() override {
    server_ = testing::MariadbServer::Start();
    ASSERT_NE(server_, nullptr);
    name_ = server_->NewDatabase();
  }
  std::unique_ptr<Database> Open() override {
    MysqlDatabaseOptions options;
    options.connection.target = *mysql::ParseTarget(server_->Url(name_));
    options.connection.password = testing::MariadbServer::kPassword;
    return *OpenMysqlDatabase(options);
  }

  std::unique_ptr<testing::MariadbServer> server_;
  std::string name_;
};

TEST_F(LaneModelOnMariadb, RowsViewsAndAnswersAgreeUnderRandomFailures) {
  ExpectAgreementUnderRandomFailures();
}

}  // namespace
}  // namespace posthorn::store_service
