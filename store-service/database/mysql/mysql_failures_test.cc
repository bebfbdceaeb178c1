// What goes wrong between a store and its database: nothing acknowledged is lost, nothing is there
// twice.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "lib/base/strings.h"
#include "store-service/database/mysql/commit_proxy_for_test.h"
#include "store-service/database/mysql/database_for_test.h"
#include "store-service/database/mysql/error.h"
#include "store-service/database/mysql/fenced_lanes.h"

namespace posthorn::store_service {
namespace {

using absl::StatusCode;
using mysql::CommitProxy;
using mysql::Connection;
using mysql::Transaction;
using testing::MariadbServer;

class MysqlFailures : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = MariadbServer::Start().release(); }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    name_ = server_->NewDatabase();
    database_ = OpenForTest(server_->Url(name_));
    ASSERT_NE(database_, nullptr);
  }
  LaneRow Acquire(Database& database, std::string_view owner = "one", int64_t lease_ms = 60000) {
    const auto lane = database.AcquireLane(1, owner, lease_ms);
    EXPECT_TRUE(lane.ok()) << lane.status();
    return lane.value_or(LaneRow());
  }
  std::unique_ptr<Connection> Raw() {
    return *Connection::Open(MysqlTestOptions(server_->Url(name_)).connection);
  }
  void KillAllSessions() {
    server_->Sql(
        "BEGIN NOT ATOMIC FOR s IN (SELECT id FROM information_schema.processlist WHERE db='" +
        name_ +
        "') DO BEGIN DECLARE CONTINUE HANDLER FOR 1094 SET @gone=1; KILL CONNECTION s.id; END; END "
        "FOR; END");
  }

  static MariadbServer* server_;
  std::string name_;
  std::unique_ptr<Database> database_;
};

MariadbServer* MysqlFailures::server_ = nullptr;

TEST_F(MysqlFailures, ReadersAndWritersFindTheRestartedServer) {
  SimpleOwner owner(*database_, Acquire(*database_));
  ASSERT_TRUE(owner.Deliver().ok());
  auto snapshot = database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  server_->Kill();
  EXPECT_EQ((*snapshot)->Totals(1, 2).status().code(), StatusCode::kUnavailable);
  snapshot->reset();
  EXPECT_EQ(database_->Commit({{1, 1, 1}}, {}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(database_->OpenSnapshot().status().code(), StatusCode::kUnavailable);
  ASSERT_TRUE(server_->Restart());
  EXPECT_TRUE(owner.Deliver().ok());
  owner.ExpectAllThere(*database_);
}

// A store of the next release copies a table between a snapshot's begin and its first look at the
// table.
TEST_F(MysqlFailures, ChangeOfSchemaEndsASnapshotAndTheNextOneReads) {
  SimpleOwner owner(*database_, Acquire(*database_));
  ASSERT_TRUE(owner.Deliver().ok());
  auto snapshot = database_->OpenSnapshot();
  ASSERT_TRUE(snapshot.ok());
  const auto newer = Raw();
  ASSERT_TRUE(newer
                  ->Execute("ALTER TABLE message ADD COLUMN more INT NOT NULL DEFAULT 7,"
                            " ALGORITHM=COPY")
                  .ok());
  EXPECT_EQ((*snapshot)->Totals(1, 2).status().code(), StatusCode::kUnavailable);
  snapshot->reset();
  owner.ExpectAllThere(*database_);
  EXPECT_TRUE(owner.Deliver().ok());
  owner.ExpectAllThere(*database_);
}

TEST_F(MysqlFailures, CutCommitsAreDecidedByTheLane) {
  CommitProxy proxy(server_->port());
  auto options = MysqlTestOptions(server_->Url(name_));
  options.connection.target.hosts[0].port = static_cast<uint16_t>(proxy.port());
  auto database = *OpenMysqlDatabase(options);
  SimpleOwner owner(*database, Acquire(*database));
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE(owner.Deliver().ok());
    proxy.Next(CommitProxy::At::kCutBefore);
    EXPECT_EQ(owner.Deliver().code(), StatusCode::kCancelled);
    proxy.Next(CommitProxy::At::kCutAfter);
    EXPECT_TRUE(owner.Deliver().ok());
  }
  EXPECT_EQ(owner.acknowledged(), 10u);
  owner.ExpectAllThere(*database_);
}

TEST_F(MysqlFailures, CommitThatComesLateDoesNotComeTrue) {
  CommitProxy proxy(server_->port());
  auto options = MysqlTestOptions(server_->Url(name_));
  options.connection.target.hosts[0].port = static_cast<uint16_t>(proxy.port());
  auto database = *OpenMysqlDatabase(options);
  SimpleOwner owner(*database, Acquire(*database));
  ASSERT_TRUE(owner.Deliver().ok());
  proxy.Next(CommitProxy::At::kHold);
  // The server still holds the transaction open when the lane is asked.
  EXPECT_EQ(owner.Deliver().code(), StatusCode::kCancelled);
  proxy.Release();
  EXPECT_TRUE(owner.Deliver().ok());
  owner.ExpectAllThere(*database_);
}

TEST_F(MysqlFailures, KilledSessionsLoseAndDoubleNothing) {
  SimpleOwner owner(*database_, Acquire(*database_));
  std::atomic<bool> stop = false;
  std::thread killer([&] {
    while (!stop) KillAllSessions();
  });
  int good = 0;
  for (int i = 0; i < 150; ++i) good += owner.Deliver().ok();
  stop = true;
  killer.join();
  EXPECT_GT(good, 0);
  EXPECT_TRUE(owner.Deliver().ok());
  owner.ExpectAllThere(*database_);
}

TEST_F(MysqlFailures, PausedTransactionFailsOnceItsLaneIsTaken) {
  const LaneRow lane = Acquire(*database_, "one", -1);
  auto paused = Raw();
  auto transaction = Transaction::Begin(*paused);
  ASSERT_TRUE(paused->Execute(FenceText({{1, lane.epoch, 5}})).ok());
  ASSERT_TRUE(WriteRowsOn(*paused, Delivered(1)).ok());
  // The paused one holds the lane's row until the server loses patience with it.
  auto second = OpenForTest(server_->Url(name_));
  const LaneRow taken = Acquire(*second, "two");
  EXPECT_GT(taken.epoch, lane.epoch);
  EXPECT_FALSE(transaction->Commit().ok());
  EXPECT_TRUE(Columns(*second, 1, 2, 0).empty());
  EXPECT_EQ(second->ReadLane(1)->owner, "two");
}

TEST_F(MysqlFailures, StaleOwnerIsToldSoThoughItsKeysAreTaken) {
  const LaneRow lane = Acquire(*database_, "one", -1);
  auto second = OpenForTest(server_->Url(name_));
  const LaneRow taken = Acquire(*second, "two");
  WriteBatch batch = Delivered(1);
  ASSERT_TRUE(second->Commit({{1, taken.epoch, 5}}, batch).ok());
  EXPECT_EQ(second->Commit({{1, taken.epoch, 6}}, batch).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(database_->Commit({{1, lane.epoch, 6}}, batch).code(), StatusCode::kAborted);
}

TEST_F(MysqlFailures, DeadlockedBatchIsRunAgainAsAWhole) {
  const LaneRow lane = Acquire(*database_);
  auto other = Raw();
  auto transaction = Transaction::Begin(*other);
  // Heavier than the batch, so that the server lets the batch die.
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(other->Run("INSERT INTO body VALUES(?,0,'','')", 7001 + i).ok());
  }
  absl::Status status;
  std::thread writer([&] { status = database_->Commit({{1, lane.epoch, 1}}, Delivered(1)); });
  // Once the batch waits for a body, this asks for its lane: a circle. The server looks anew only
  // when it was not asked for a tenth of a second.
  int64_t waiting = 0;
  for (int i = 0; i < 20 && waiting == 0; ++i) {
    EXPECT_TRUE(other->Integer("SELECT SLEEP(0.15)").ok());
    waiting = other
                  ->Integer(
                      "SELECT count(*) FROM information_schema.innodb_trx WHERE"
                      " trx_state='LOCK WAIT'")
                  .value_or(-1);
  }
  EXPECT_EQ(waiting, 1);
  EXPECT_TRUE(other->Run("UPDATE lane SET touched=touched+1 WHERE lane=1").ok());
  EXPECT_TRUE(transaction->Commit().ok());
  writer.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Columns(*database_, 1, 2, 0).size(), 1u);
}

TEST_F(MysqlFailures, TwoStoresOnOneDatabaseDeliverTheSameBodies) {
  auto second = OpenForTest(server_->Url(name_));
  const LaneRow one = Acquire(*database_);
  const auto two = *second->AcquireLane(2, "two", 60000);
  const auto deliver = [](Database& database, AccountId account, uint64_t epoch) {
    for (Uid uid = 1; uid <= 100; ++uid) {
      WriteBatch batch;
      for (uint64_t blob = 20; blob > 0; --blob) {
        batch.PutBody({uid * 20 + blob, account, "Received: x\r\n", "digest"});
      }
      batch.messages.push_back(TestMessage(account, 2, uid, uid));
      EXPECT_TRUE(database.Commit({{static_cast<uint32_t>(account), epoch, uid}}, batch).ok());
    }
  };
  std::thread other([&] { deliver(*second, 2, two.epoch); });
  deliver(*database_, 1, one.epoch);
  other.join();
  EXPECT_EQ(Columns(*database_, 1, 2, 0).size(), 100u);
  EXPECT_EQ(Columns(*database_, 2, 2, 0).size(), 100u);
  // Every body has both prefixes, one of them beside it.
  EXPECT_EQ(*Raw()->Integer("SELECT count(*) FROM other_prefix"), 2000);
}

TEST_F(MysqlFailures, CondemningWaitsForBatchesThatLookedBefore) {
  const LaneRow lane = Acquire(*database_);
  const auto collector = *database_->AcquireLane(2, "one", 60000);
  auto batch = Raw();
  auto transaction = Transaction::Begin(*batch);
  ASSERT_TRUE(batch->Execute(FenceText({{1, lane.epoch, 5}})).ok());
  ASSERT_TRUE(batch->Numbers("SELECT blob_key FROM condemned")->empty());
  std::atomic<bool> condemned = false;
  std::thread condemner([&] {
    EXPECT_TRUE(database_->Condemn({{2, collector.epoch, 1}}, {7001}, 5).ok());
    condemned = true;
  });
  ASSERT_TRUE(WriteRowsOn(*batch, Delivered(1)).ok());
  EXPECT_FALSE(condemned);
  ASSERT_TRUE(transaction->Commit().ok());
  condemner.join();
  EXPECT_EQ(database_->Commit({{1, lane.epoch, 6}}, Delivered(1)).code(), StatusCode::kNotFound);
}

TEST(MysqlErrors, AreToldApart) {
  const std::pair<int, StatusCode> cases[] = {
      {1062, StatusCode::kAlreadyExists},
      {1213, StatusCode::kAborted},
      {1205, StatusCode::kAborted},
      {1020, StatusCode::kAborted},
      {1047, StatusCode::kUnavailable},
      {1053, StatusCode::kUnavailable},
      {1927, StatusCode::kUnavailable},
      {2002, StatusCode::kUnavailable},
      {2003, StatusCode::kUnavailable},
      {2006, StatusCode::kUnavailable},
      {2013, StatusCode::kUnavailable},
      {2030, StatusCode::kUnavailable},
      {2055, StatusCode::kUnavailable},
      {1290, StatusCode::kUnavailable},
      {1021, StatusCode::kResourceExhausted},
      {1114, StatusCode::kResourceExhausted},
      {28, StatusCode::kResourceExhausted},
      {1045, StatusCode::kPermissionDenied},
      {1049, StatusCode::kFailedPrecondition},
      {1064, StatusCode::kInternal},
      {0, StatusCode::kInternal},
  };
  for (const auto& [number, code] : cases) {
    const absl::Status status = mysql::ToStatus(number, "text");
    EXPECT_EQ(status.code(), code) << number;
    EXPECT_EQ(mysql::IsRetry(status), code == StatusCode::kAborted) << number;
    EXPECT_EQ(mysql::IsLinkLost(number), code == StatusCode::kUnavailable) << number;
  }
  EXPECT_FALSE(mysql::IsRetry(absl::AbortedError("lane 1 was taken over")));
  EXPECT_FALSE(mysql::IsRetry(absl::OkStatus()));
}

}  // namespace
}  // namespace posthorn::store_service
