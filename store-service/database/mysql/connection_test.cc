#include "store-service/database/mysql/connection.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/mysql/error.h"

namespace posthorn::mysql {
namespace {

using absl::StatusCode;
using testing::MariadbServer;

// One server for all; what harms it is undone by the test that did it.
class ConnectionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = MariadbServer::Start().release(); }
  static void TearDownTestSuite() { delete server_; }
  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    name_ = server_->NewDatabase();
    ASSERT_FALSE(name_.empty());
    auto opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    db_ = *std::move(opened);
    ASSERT_TRUE(db_->Execute("CREATE TABLE t(a BIGINT UNSIGNED PRIMARY KEY, b BIGINT,"
                             " c VARBINARY(1000), d MEDIUMBLOB)")
                    .ok());
  }
  Options TestOptions() {
    Options options;
    options.target = *ParseTarget(server_->Url(name_));
    options.password = MariadbServer::kPassword;
    options.io_timeout_s = 2;
    return options;
  }
  absl::StatusOr<std::unique_ptr<Connection>> Open() { return Connection::Open(TestOptions()); }
  int64_t Count() { return db_->Integer("SELECT count(*) FROM t").value_or(-1); }
  void KillSessions() {
    const std::string id = base::StrCat(*db_->Integer("SELECT connection_id()"));
    server_->Sql("KILL CONNECTION " + id);
  }

  static MariadbServer* server_;
  std::string name_;
  std::unique_ptr<Connection> db_;
};

MariadbServer* ConnectionTest::server_ = nullptr;

TEST_F(ConnectionTest, ValuesComeBackAsTheyWereBound) {
  const std::string odd("\0'\\\"\xff\xf0\x9f\x93\xaf", 9);
  const std::string large(300000, '\x07');
  ASSERT_TRUE(
      db_->Run("INSERT INTO t VALUES(?,?,?,?)", UINT64_MAX, INT64_MIN, Bytes{odd}, large).ok());
  ASSERT_TRUE(
      db_->Run("INSERT INTO t VALUES(?,?,?,?)", 7u, nullptr, std::optional<std::string>(), "")
          .ok());
  Cursor cursor = db_->Query("SELECT a, b, c, d FROM t ORDER BY a DESC");
  ASSERT_TRUE(*cursor.Next());
  EXPECT_EQ(cursor.Unsigned(0), UINT64_MAX);
  EXPECT_EQ(cursor.Int(1), INT64_MIN);
  EXPECT_EQ(cursor.Text(2), odd);
  EXPECT_EQ(cursor.Text(3), large);
  ASSERT_TRUE(*cursor.Next());
  EXPECT_EQ(cursor.Unsigned(0), 7u);
  EXPECT_TRUE(cursor.IsNull(1));
  EXPECT_TRUE(cursor.IsNull(2));
  EXPECT_FALSE(cursor.IsNull(3));
  EXPECT_EQ(cursor.Int(1), 0);
  EXPECT_EQ(cursor.Text(2), "");
  EXPECT_EQ(cursor.Text(3), "");
  EXPECT_FALSE(*cursor.Next());
}

TEST_F(ConnectionTest, RealNumbersKeepEveryBit) {
  ASSERT_TRUE(db_->Execute("CREATE TABLE real_number(r DOUBLE PRIMARY KEY)").ok());
  ASSERT_TRUE(db_->Run("INSERT INTO real_number VALUES(?)", 0.1).ok());
  Cursor cursor = db_->Query("SELECT r FROM real_number");
  ASSERT_TRUE(*cursor.Next());
  EXPECT_EQ(cursor.Real(0), 0.1);
}

TEST_F(ConnectionTest, SignedColumnsKeepUnsignedBits) {
  const auto bits = uint64_t{1} << 63 | 5;
  ASSERT_TRUE(db_->Run("INSERT INTO t(a, b) VALUES(1,?)", static_cast<int64_t>(bits)).ok());
  Cursor cursor = db_->Query("SELECT b FROM t");
  ASSERT_TRUE(*cursor.Next());
  EXPECT_EQ(cursor.Unsigned(0), bits);
}

TEST_F(ConnectionTest, NumbersKeepEveryBit) {
  EXPECT_EQ(*db_->Numbers("SELECT 18446744073709551615, 9223372036854775808, 7"),
            (std::vector<uint64_t>{UINT64_MAX, uint64_t{1} << 63, 7}));
}

TEST_F(ConnectionTest, UpdateCountsRowsItFoundThoughNothingChanged) {
  ASSERT_TRUE(db_->Run("INSERT INTO t(a, b) VALUES(1,5),(2,5)").ok());
  EXPECT_EQ(db_->changes(), 2);
  ASSERT_TRUE(db_->Run("UPDATE t SET b=5").ok());
  EXPECT_EQ(db_->changes(), 2);
  ASSERT_TRUE(db_->Run("UPDATE t SET b=6 WHERE a=3").ok());
  EXPECT_EQ(db_->changes(), 0);
}

TEST_F(ConnectionTest, CursorsOfOneTextMayNest) {
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(1),(2)").ok());
  int pairs = 0;
  Cursor outer = db_->Query("SELECT a FROM t");
  while (*outer.Next()) {
    Cursor inner = db_->Query("SELECT a FROM t");
    while (*inner.Next()) ++pairs;
  }
  EXPECT_EQ(pairs, 4);
}

TEST_F(ConnectionTest, TransactionRollsBackUnlessCommitted) {
  {
    auto transaction = Transaction::Begin(*db_);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(1)").ok());
  }
  EXPECT_EQ(Count(), 0);
  {
    auto transaction = Transaction::Begin(*db_);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(1)").ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  EXPECT_EQ(Count(), 1);
}

TEST_F(ConnectionTest, SnapshotDoesNotMove) {
  auto other = *Open();
  auto transaction = Transaction::Begin(*db_, Transaction::Kind::kSnapshot);
  ASSERT_TRUE(transaction.ok());
  ASSERT_TRUE(other->Run("INSERT INTO t(a) VALUES(1)").ok());
  EXPECT_EQ(Count(), 0);
  EXPECT_FALSE(db_->Run("INSERT INTO t(a) VALUES(2)").ok());
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(Count(), 1);
}

TEST_F(ConnectionTest, ErrorsHaveTheirCodes) {
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(1)").ok());
  EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(1)").code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(db_->Run("SELEC 1").code(), StatusCode::kInternal);
  EXPECT_EQ(db_->Run("INSERT INTO t(a, c) VALUES(2,?)", std::string(2000, 'x')).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(db_->Integer("SELECT a FROM t WHERE a=9").status().code(), StatusCode::kNotFound);
  Options options = TestOptions();
  options.password = "wrong";
  EXPECT_EQ(Connection::Open(options).status().code(), StatusCode::kPermissionDenied);
  options = TestOptions();
  options.target.database = "no_such_database";
  EXPECT_EQ(Connection::Open(options).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(ConnectionTest, DeadlockAsksForTheWholeTransactionAgain) {
  auto other = *Open();
  ASSERT_TRUE(db_->Run("INSERT INTO t(a, b) VALUES(1,0),(2,0)").ok());
  auto mine = Transaction::Begin(*db_);
  auto theirs = Transaction::Begin(*other);
  ASSERT_TRUE(db_->Run("UPDATE t SET b=1 WHERE a=1").ok());
  ASSERT_TRUE(other->Run("UPDATE t SET b=2 WHERE a=2").ok());
  absl::Status second;
  std::thread waits([&] { second = other->Run("UPDATE t SET b=2 WHERE a=1"); });
  const absl::Status first = db_->Run("UPDATE t SET b=1 WHERE a=2");
  // Whoever was chosen lets go, then the other goes on.
  if (!first.ok()) {
    const auto rolled_back = std::move(mine);
  }
  waits.join();
  EXPECT_NE(first.ok(), second.ok());
  EXPECT_TRUE(IsRetry(first.ok() ? second : first)) << first << second;
  EXPECT_EQ((first.ok() ? second : first).code(), StatusCode::kAborted);
}

TEST_F(ConnectionTest, KilledSessionFailsItsTransactionAndIsReplacedByTheNext) {
  const observe::Counter* const anew =
      observe::NewCounter("posthorn_store_database_reconnects_total", "", {{"server", "same"}});
  const double before = anew->value();
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(?)", 1).ok());
  {
    auto transaction = Transaction::Begin(*db_);
    ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(?)", 2).ok());
    KillSessions();
    EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(?)", 3).code(), StatusCode::kUnavailable);
    EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(?)", 4).code(), StatusCode::kUnavailable);
    EXPECT_EQ(transaction->Commit().code(), StatusCode::kUnavailable);
  }
  auto transaction = Transaction::Begin(*db_);
  ASSERT_TRUE(transaction.ok()) << transaction.status();
  EXPECT_EQ(db_->links(), 2u);
  EXPECT_EQ(anew->value(), before + 1);
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(?)", 5).ok());
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(Count(), 2);
}

TEST_F(ConnectionTest, IdleSessionThatWasKilledIsNoticedByNobody) {
  EXPECT_EQ(Count(), 0);
  KillSessions();
  EXPECT_EQ(Count(), 0);
  KillSessions();
  auto transaction = Transaction::Begin(*db_);
  ASSERT_TRUE(transaction.ok()) << transaction.status();
  EXPECT_TRUE(transaction->Commit().ok());
}

TEST_F(ConnectionTest, LinkLostDuringCommitIsUnknown) {
  auto transaction = Transaction::Begin(*db_);
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(1)").ok());
  KillSessions();
  EXPECT_EQ(transaction->Commit().code(), StatusCode::kUnknown);
}

TEST_F(ConnectionTest, RestartedServerIsUsedAgainWithStatementsPreparedAnew) {
  ASSERT_TRUE(db_->Run("INSERT INTO t(a) VALUES(?)", 1).ok());
  server_->Kill();
  EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(?)", 2).code(), StatusCode::kUnavailable);
  EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(?)", 2).code(), StatusCode::kUnavailable);
  ASSERT_TRUE(server_->Restart());
  EXPECT_TRUE(db_->Run("INSERT INTO t(a) VALUES(?)", 3).ok());
  EXPECT_EQ(Count(), 2);
}

TEST_F(ConnectionTest, FrozenServerBlocksNobodyForEver) {
  server_->Freeze();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(db_->Run("INSERT INTO t(a) VALUES(1)").code(), StatusCode::kUnavailable);
  EXPECT_EQ(Open().status().code(), StatusCode::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  server_->Thaw();
  EXPECT_TRUE(db_->Run("INSERT INTO t(a) VALUES(2)").ok());
}

TEST_F(ConnectionTest, SilentHolderOfLocksLosesThem) {
  auto other = *Open();
  ASSERT_TRUE(db_->Run("INSERT INTO t(a, b) VALUES(1,0)").ok());
  auto paused = Transaction::Begin(*other);
  ASSERT_TRUE(other->Run("UPDATE t SET b=1").ok());
  absl::Status status;
  for (int i = 0; i < 3 && (i == 0 || !status.ok()); ++i) status = db_->Run("UPDATE t SET b=2");
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(paused->Commit().ok());
  EXPECT_EQ(*db_->Integer("SELECT b FROM t"), 2);
}

TEST_F(ConnectionTest, HostsAreTriedInOrder) {
  Options options = TestOptions();
  options.target.hosts.insert(options.target.hosts.begin(), {"127.0.0.1", 1});
  auto opened = Connection::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->host().port, server_->port());
  options.target.hosts.pop_back();
  EXPECT_EQ(Connection::Open(options).status().code(), StatusCode::kUnavailable);
}

TEST_F(ConnectionTest, ReadOnlyServerIsPassedOver) {
  server_->Sql("SET GLOBAL read_only=1");
  EXPECT_EQ(Open().status().code(), StatusCode::kUnavailable);
  server_->Sql("SET GLOBAL read_only=0");
  EXPECT_TRUE(Open().ok());
}

TEST_F(ConnectionTest, SaysWhichSettingsWouldLoseMail) {
  EXPECT_EQ(*db_->DurabilityWarnings(), std::vector<std::string>());
  server_->Sql("SET GLOBAL innodb_flush_log_at_trx_commit=2");
  const auto found = db_->DurabilityWarnings();
  server_->Sql("SET GLOBAL innodb_flush_log_at_trx_commit=1");
  ASSERT_EQ(found->size(), 1u);
  EXPECT_NE(found->front().find("innodb_flush_log_at_trx_commit=2"), std::string::npos);
}

TEST_F(ConnectionTest, ManyThreadsHaveTheirOwnConnections) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto own = Open();
      for (int n = 0; own.ok() && n < 50; ++n) {
        if ((*own)->Run("INSERT INTO t(a, b) VALUES(1,1) ON DUPLICATE KEY UPDATE b=b+1").ok()) {
          ++good;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(*db_->Integer("SELECT b FROM t"), 200);
}

// A certificate that is its own authority; its files are NAME.crt and NAME.key.
void MakeCertificate(const testing::TempDir& directory, const std::string& name,
                     const std::string& subject) {
  const std::string path = directory.File(name);
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
      " -subj /CN=db -addext subjectAltName=" +
      subject + " -keyout " + path + ".key -out " + path + ".crt 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
}

TEST(DatabaseTls, ServerMustHaveACertificateOfTheAuthorityForItsAddress) {
  const testing::TempDir directory;
  MakeCertificate(directory, "right", "IP:127.0.0.1");
  MakeCertificate(directory, "other", "IP:127.0.0.1");
  MakeCertificate(directory, "elsewhere", "DNS:db.example.org");
  const auto start = [&](const char* name) {
    return MariadbServer::Start({base::StrCat("--ssl-cert=", directory.File(name), ".crt"),
                                 base::StrCat("--ssl-key=", directory.File(name), ".key")});
  };
  const auto open = [&](const MariadbServer& server, const char* authority) {
    Options options;
    options.target = *ParseTarget(server.Url("mysql"));
    options.password = MariadbServer::kPassword;
    options.ca_file = directory.File(authority) + ".crt";
    return Connection::Open(options);
  };
  const auto right = start("right");
  ASSERT_NE(right, nullptr);
  const auto opened = open(*right, "right");
  ASSERT_TRUE(opened.ok()) << opened.status();
  Cursor cipher = (*opened)->Query("SHOW SESSION STATUS LIKE 'Ssl_cipher'");
  ASSERT_TRUE(*cipher.Next());
  EXPECT_NE(cipher.Text(1), "");
  EXPECT_EQ(open(*right, "other").status().code(), StatusCode::kUnavailable);
  const auto elsewhere = start("elsewhere");
  ASSERT_NE(elsewhere, nullptr);
  EXPECT_EQ(open(*elsewhere, "elsewhere").status().code(), StatusCode::kUnavailable);
  const auto plain = MariadbServer::Start();
  ASSERT_NE(plain, nullptr);
  EXPECT_EQ(open(*plain, "right").status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace posthorn::mysql
