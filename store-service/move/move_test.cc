#include <set>
#include <thread>

#include "store-service/database/mysql/commit_proxy_for_test.h"
#include "store-service/move/move_fixture.h"

namespace posthorn::store_service {
namespace {

using absl::StatusCode;
using mysql::CommitProxy;

TEST_F(MoveTest, KnowsEveryTableAndColumnOfTheFiles) {
  const auto source = *MoveSource::Open(Files());
  EXPECT_TRUE(source->ExpectKnown().ok()) << source->ExpectKnown();
  for (const MoveTable& table : MoveTables()) {
    EXPECT_TRUE(source->Sum(table, "1").ok()) << table.source;
  }
  ASSERT_TRUE(directory_->Run("CREATE TABLE later(a INTEGER PRIMARY KEY)").ok());
  EXPECT_THAT(std::string(source->ExpectKnown().message()), HasSubstr("the table later"));
}

// The other way round: a column that only MySQL has would be left empty.
TEST_F(MoveTest, FillsEveryColumnOfTheDatabase) {
  ASSERT_TRUE(NewMove()->Run().ok());
  std::set<std::string> filled = {"lane.touched"};
  for (const MoveTable& table : MoveTables()) {
    for (const MoveColumn& column : table.columns) filled.insert(table.target + "." + column.name);
  }
  const std::string columns = server_->Sql(
      "SELECT CONCAT(table_name,'.',column_name) FROM information_schema.columns WHERE"
      " table_schema='" +
      schema_ +
      "' AND extra NOT LIKE '%GENERATED%' AND table_name NOT IN"
      " ('installation','schema_migration','schema_oldest','replica')");
  for (const std::string& column : Sorted(columns)) EXPECT_TRUE(filled.contains(column)) << column;
  EXPECT_GT(columns.size(), 1000u);
}

TEST_F(MoveTest, MovesEverythingByteForByte) {
  const auto result = NewMove()->Run();
  ASSERT_TRUE(result.ok()) << result.status();
  ExpectSame();
  EXPECT_EQ(result->messages, 121u);
  EXPECT_EQ(Server("SELECT local FROM account WHERE local_at='j\xc3\xbcrgen@'"), "j\xc3\xbcrgen\n");
  // It is what a store opens: lanes without owner go on where they were.
  EXPECT_TRUE(ExpectNoUnfinishedMove(Target()).ok());
  const auto opened = *OpenMysqlDatabase({.connection = Target()});
  const auto lane = *opened->AcquireLane(1, "store-1", 1000);
  EXPECT_EQ(lane.epoch, lanes_[1].epoch + 1);
  EXPECT_EQ(lane.batch, lanes_[1].batch);
  EXPECT_EQ(Columns(*opened, 1, 2, 0), Columns(*mail_, 1, 2, 0));
}

TEST_F(MoveTest, FilesSayWhereTheyMovedAndTakeNothingMore) {
  EXPECT_TRUE(ExpectNotMoved(file::Real(), dir_.path()).ok());
  ASSERT_TRUE(NewMove()->Run().ok());
  const absl::Status moved = ExpectNotMoved(file::Real(), dir_.path());
  EXPECT_EQ(moved.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(moved.message()), HasSubstr("has moved to mysql://u@h/db"));
  EXPECT_EQ(Write(Delivered(1, 50)).code(), StatusCode::kUnavailable);
  EXPECT_EQ(directory_->Run("UPDATE head SET revision=13").code(), StatusCode::kUnavailable);
  EXPECT_EQ(registry_->Take("one").status().code(), StatusCode::kUnavailable);
  // What is there can be read still.
  EXPECT_EQ(Columns(*mail_, 1, 2, 0).size(), 40u);
}

TEST_F(MoveTest, WhatIsWrittenMeanwhileIsThereToo) {
  const auto move = NewMove();
  Uid next = 50;
  move->before_part = [&] {
    if (told_.back().phase == MoveProgress::Phase::kStop) return;
    ++next;
    // New, changed and removed rows of accounts that are copied already and of others.
    WriteBatch batch = Delivered(next % 5 + 1, next);
    batch.flags.push_back({2, 2, next % 20 + 1, next + 1000, static_cast<uint16_t>(next), {}});
    batch.expunges.push_back({3, 2, next + 1000, next - 50, next, 5});
    batch.keywords.push_back({2, 2, next % 60, "k" + std::to_string(next)});
    batch.subscriptions.push_back({2, "s" + std::to_string(next)});
    batch.operations.push_back({3, "op" + std::to_string(next), 5, "reply"});
    ASSERT_TRUE(Write(batch).ok());
    ASSERT_TRUE(directory_->Run("UPDATE head SET revision=revision+1").ok());
  };
  const auto result = move->Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(next, 70u);
  ExpectSame();
}

// Mail that passes through the queue: there while its table is copied, gone when writing stops, and
// the table as it was before.
TEST_F(MoveTest, WhatComesAndGoesWhileItsTableIsCopiedIsNotLeftBehind) {
  const auto move = NewMove();
  const auto run = [&](std::string_view sql) { EXPECT_TRUE(queue_->Run(sql).ok()) << sql; };
  constexpr char kGo[] = "DELETE FROM queue_entry WHERE part=9";
  MoveProgress::Phase phase = MoveProgress::Phase::kCheck;
  on_told = [&](const MoveProgress& told) {
    phase = told.phase;
    if (phase != MoveProgress::Phase::kCatchUp && phase != MoveProgress::Phase::kStop) return;
    run(kGo);
    if (phase == MoveProgress::Phase::kCatchUp) run("UPDATE queue_entry SET blob_key=blob_key+1");
  };
  int passed = 0;
  move->before_part = [&] {
    if (phase != MoveProgress::Phase::kCatchUp) return;
    ++passed;
    run("INSERT INTO queue_entry(journal,message,part,blob_key,record)"
        " SELECT journal,message,9,1,record FROM queue_entry WHERE part=0");
  };
  const auto result = move->Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(passed, 0);
  ExpectSame();
}

TEST_F(MoveTest, WritersBesideItLoseNothing) {
  std::atomic<bool> end{false};
  std::thread writer([&] {
    for (Uid uid = 100; !end && uid < 100000; ++uid) {
      const absl::Status status = Write(Delivered(uid % 7 + 1, uid));
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
  });
  std::thread administrator([&] {
    while (!end) {
      const absl::Status status = directory_->Run("UPDATE head SET revision=revision+1");
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
  });
  const auto result = NewMove()->Run();
  end = true;
  writer.join();
  administrator.join();
  ASSERT_TRUE(result.ok()) << result.status();
  ExpectSame();
}

TEST_F(MoveTest, DroppedMailboxesAndForgottenRowsFollow) {
  const auto move = NewMove();
  int parts = 0;
  move->before_part = [&] {
    if (++parts != 30) return;
    WriteBatch batch;
    batch.DropMailbox({1, 2, 500, 5});
    batch.subscriptions.push_back({1, kUtf8Name, SubscriptionRow::State::kUnsubscribed});
    batch.subscriptions.push_back({2, "x"});
    batch.old_operations.emplace_back(1, kOddBytes);
    batch.operations.push_back({1, "other", 5, ""});
    batch.keywords.push_back({2, 2, 1, "k"});
    ASSERT_TRUE(Write(batch).ok());
  };
  ASSERT_TRUE(move->Run().ok());
  ASSERT_GE(parts, 30);
  ExpectSame();
}

TEST_F(MoveTest, NothingIsCollectedMeanwhileAndAgainAfterwards) {
  const auto move = NewMove();
  move->before_part = [&] {
    EXPECT_EQ(mail_->PurgeDropped(LanesNow(), 100).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(mail_->EraseAccount(LanesNow(), 1, 0, 1).status().code(), StatusCode::kUnavailable);
    cancelled_ = true;
  };
  EXPECT_EQ(move->Run().status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(mail_->PurgeDropped(LanesNow(), 100).ok());
}

TEST_F(MoveTest, EndedInTheMiddleItIsDoneAgainFromTheStart) {
  {
    const auto move = NewMove();
    int parts = 0;
    move->before_part = [&] { cancelled_ = ++parts == 25; };
    EXPECT_EQ(move->Run().status().code(), StatusCode::kCancelled);
  }
  const absl::Status unfinished = ExpectNoUnfinishedMove(Target());
  EXPECT_EQ(unfinished.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(unfinished.message()), HasSubstr("only a part of an installation"));
  EXPECT_TRUE(ExpectNotMoved(file::Real(), dir_.path()).ok());
  // Mail went on, and messages went.
  ASSERT_TRUE(Write(Delivered(2, 60)).ok());
  WriteBatch batch;
  batch.expunges.push_back({2, 2, 600, 1, 5, 5});
  ASSERT_TRUE(Write(batch).ok());
  cancelled_ = false;
  const auto again = NewMove()->Run();
  ASSERT_TRUE(again.ok()) << again.status();
  ExpectSame();
}

TEST_F(MoveTest, ServerThatDiesInTheStopLeavesTheFilesInUse) {
  const auto own = MariadbServer::Start();
  ASSERT_NE(own, nullptr);
  MoveOptions options{
      .files = Files(), .target = Target(), .url = "u", .data = dir_.path(), .blobs = ""};
  options.target.target = *mysql::ParseTarget(own->Url(own->NewDatabase()));
  Move move(options, {*mail_, *gate_}, [](const MoveProgress&) {}, cancelled_);
  move.while_stopped = [&] {
    EXPECT_EQ(Write(Delivered(1, 50)).code(), StatusCode::kUnavailable);
    own->Kill();
    return absl::OkStatus();
  };
  EXPECT_FALSE(move.Run().ok());
  EXPECT_TRUE(Write(Delivered(1, 50)).ok());
  EXPECT_TRUE(directory_->Run("UPDATE head SET revision=13").ok());
  EXPECT_TRUE(ExpectNotMoved(file::Real(), dir_.path()).ok());
}

class LastWord : public MoveTest {
 protected:
  // A move whose last COMMIT meets `at`.
  absl::StatusOr<MoveResult> RunWith(CommitProxy& proxy, CommitProxy::At at) {
    MoveOptions options{
        .files = Files(), .target = Target(), .url = "u", .data = dir_.path(), .blobs = ""};
    options.target.target.hosts[0].port = static_cast<uint16_t>(proxy.port());
    Move move(options, {*mail_, *gate_}, [](const MoveProgress&) {}, cancelled_);
    move.while_stopped = [&] {
      proxy.Next(at);
      return absl::OkStatus();
    };
    return move.Run();
  }
  void ExpectInUse() {
    EXPECT_TRUE(Write(Delivered(1, 50)).ok());
    EXPECT_TRUE(ExpectNotMoved(file::Real(), dir_.path()).ok());
    EXPECT_FALSE(ExpectNoUnfinishedMove(Target()).ok());
  }
};

TEST_F(LastWord, WhoseAnswerWasLostCounts) {
  CommitProxy proxy(server_->port());
  const auto result = RunWith(proxy, CommitProxy::At::kCutAfter);
  EXPECT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(ExpectNotMoved(file::Real(), dir_.path()).ok());
  EXPECT_TRUE(ExpectNoUnfinishedMove(Target()).ok());
}

TEST_F(LastWord, ThatNeverArrivedLeavesTheFilesInUse) {
  CommitProxy proxy(server_->port());
  EXPECT_EQ(RunWith(proxy, CommitProxy::At::kCutBefore).status().code(), StatusCode::kUnavailable);
  ExpectInUse();
}

TEST_F(LastWord, ThatComesLateDoesNotComeTrue) {
  CommitProxy proxy(server_->port());
  EXPECT_EQ(RunWith(proxy, CommitProxy::At::kHold).status().code(), StatusCode::kUnavailable);
  proxy.Release();
  ExpectInUse();
}

TEST_F(MoveTest, DamageOnTheOtherSideIsFound) {
  on_told = [&](const MoveProgress& told) {
    if (told.phase == MoveProgress::Phase::kCompare) {
      Server("UPDATE message SET own_prefix='x' WHERE account=2 AND uid=20");
    }
  };
  const auto result = NewMove()->Run();
  EXPECT_EQ(result.status().code(), StatusCode::kDataLoss) << result.status();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("the table message differs"));
  EXPECT_TRUE(Write(Delivered(1, 50)).ok());
  EXPECT_FALSE(ExpectNoUnfinishedMove(Target()).ok());
}

TEST_F(MoveTest, ChangedSmallTableOnTheOtherSideIsFound) {
  on_told = [&](const MoveProgress& told) {
    if (told.phase == MoveProgress::Phase::kCompare) Server("DELETE FROM credential");
  };
  const auto result = NewMove()->Run();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("the table credential differs"));
}

// What a store that died between the two words leaves: neither side takes itself for the
// installation, and without the mark the files are it again.
TEST_F(MoveTest, BetweenTheTwoWordsNeitherSideStarts) {
  const auto move = NewMove();
  move->before_part = [&] { cancelled_ = true; };
  EXPECT_FALSE(move->Run().ok());
  cancelled_ = false;
  ASSERT_TRUE(MarkMoved(file::Real(), dir_.path(), "mysql://u@h/db").ok());
  EXPECT_FALSE(ExpectNotMoved(file::Real(), dir_.path()).ok());
  EXPECT_FALSE(ExpectNoUnfinishedMove(Target()).ok());
  ASSERT_TRUE(RemoveMovedMark(file::Real(), dir_.path()).ok());
  EXPECT_TRUE(ExpectNotMoved(file::Real(), dir_.path()).ok());
  EXPECT_TRUE(RemoveMovedMark(file::Real(), dir_.path()).ok()) << "none: that is what was asked";
  EXPECT_TRUE(NewMove()->Run().ok());
}

TEST_F(MoveTest, DatabaseWithSomethingInItIsRefused) {
  Server("CREATE TABLE mine(a INT PRIMARY KEY)");
  const auto refused = NewMove()->Run();
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("not empty: it has the table mine"));
  EXPECT_EQ(Server("SHOW TABLES"), "mine\n");
  EXPECT_TRUE(Write(Delivered(1, 50)).ok());
}

TEST_F(MoveTest, DatabaseOfAnInstallationIsRefused) {
  ASSERT_TRUE(NewMove()->Run().ok());
  mail_->Open();
  EXPECT_THAT(std::string(NewMove()->Run().status().message()),
              HasSubstr("holds an installation already"));
}

TEST_F(MoveTest, UnfinishedMoveOfAnotherInstallationIsRefused) {
  const auto move = NewMove();
  move->before_part = [&] { cancelled_ = true; };
  EXPECT_FALSE(move->Run().ok());
  cancelled_ = false;
  ASSERT_TRUE(directory_->Run("UPDATE key_check SET digest='another'").ok());
  EXPECT_THAT(std::string(NewMove()->Run().status().message()),
              HasSubstr("unfinished move of another installation"));
}

TEST_F(MoveTest, MissingPrivilegeIsNamed) {
  server_->Sql(
      "CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'secret';"
      "GRANT SELECT,INSERT,UPDATE,DELETE ON " +
      schema_ + ".* TO reader@'%'");
  MoveOptions options{
      .files = Files(), .target = Target(), .url = "u", .data = dir_.path(), .blobs = ""};
  options.target.target.user = "reader";
  Move move(options, {*mail_, *gate_}, [](const MoveProgress&) {}, cancelled_);
  const auto result = move.Run();
  EXPECT_EQ(result.status().code(), StatusCode::kPermissionDenied) << result.status();
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("grant it everything"));
}

TEST_F(MoveTest, SettingsThatLoseMailAreNamed) {
  server_->Sql("SET GLOBAL innodb_flush_log_at_trx_commit=2");
  ASSERT_TRUE(NewMove()->Run().ok());
  server_->Sql("SET GLOBAL innodb_flush_log_at_trx_commit=1");
  const auto named = std::count_if(told_.begin(), told_.end(), [](const MoveProgress& told) {
    return told.note.find("innodb_flush_log_at_trx_commit=2") != std::string::npos;
  });
  EXPECT_EQ(named, 1);
}

}  // namespace
}  // namespace posthorn::store_service
