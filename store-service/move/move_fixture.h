#pragma once

// A SQLite installation with some of everything in it, and an empty MariaDB database to move it to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/blob/registry/sql_segment_registry.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/database/rows_for_test.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/directory/schema.h"
#include "store-service/move/mark.h"
#include "store-service/move/move.h"
#include "store-service/queue/schema.h"

namespace posthorn::store_service {

using ::testing::HasSubstr;
using MariadbServer = posthorn::testing::MariadbServer;

// Bytes that are special somewhere.
inline const std::string kOddBytes("\0'\\\"\n\r\x1a%_#\xff\xfe\xc3\x28 \xf0\x9f\x93\xaf", 20);
constexpr char kUtf8Name[] =
    "Entw\xc3\xbcrfe/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x93\xaf";

class MoveTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = MariadbServer::Start().release(); }
  static void TearDownTestSuite() { delete server_; }

  void SetUp() override {
    ASSERT_NE(server_, nullptr);
    schema_ = server_->NewDatabase();
    mail_ = std::make_unique<TrackedDatabase>(*OpenSqliteDatabase({.path = Path("mail.db")}));
    directory_file_ = sql::OpenSqlite({.path = Path("directory.db"), .gate = gate_});
    directory_ = *directory_file_->Connect();
    ASSERT_TRUE(directory_->Migrate("directory", DirectorySchema()).ok());
    queue_ = *sql::OpenSqlite({.path = Path("queue.db"), .gate = gate_})->Connect();
    ASSERT_TRUE(queue_->Migrate("queue", QueueSchema()).ok());
    registry_ = *SqlSegmentRegistry::Open(
        std::shared_ptr<sql::Database>(sql::OpenSqlite({.path = Path("blobs.db"), .gate = gate_})));
    for (uint32_t lane = 0; lane < 32; ++lane) lanes_.push_back(*mail_->AcquireLane(lane, "x", 1));
    FillMail();
    FillDirectory();
    FillQueue();
    ASSERT_TRUE(registry_->Take("one").ok());
    ASSERT_TRUE(registry_->Identity("id-1").ok());
  }

  std::string Path(std::string_view name) { return dir_.File(std::string(name)); }
  absl::Status Write(const WriteBatch& batch) {
    Fence fence;
    for (LaneRow& lane : lanes_) fence.push_back({lane.lane, lane.epoch, ++lane.batch});
    return mail_->Commit(fence, batch);
  }
  Fence LanesNow() const {
    Fence fence;
    for (const LaneRow& lane : lanes_) fence.push_back({lane.lane, lane.epoch, lane.batch + 1});
    return fence;
  }

  // Message `uid` of `account` with body and delivery.
  WriteBatch Delivered(AccountId account, Uid uid) {
    WriteBatch batch;
    batch.PutAccount({.account = account,
                      .modseq = uid + 10,
                      .next_mailbox = 9,
                      .next_email_id = uid,
                      .last_uid_validity = 77,
                      .used_bytes = uid * 1000,
                      .used_count = uid});
    batch.PutMailbox({.account = account,
                      .mailbox = 2,
                      .name = kUtf8Name,
                      .uid_validity = 4000000000,
                      .uid_next = uid + 1,
                      .modseq = uid,
                      .messages = uid});
    batch.PutBody({7000 + uid + account * 100000, 0xfedcba9876543210, kOddBytes, kOddBytes + "d"});
    MessageRow row = TestMessage(account, 2, uid, uid);
    row.columns.blob_key += account * 100000;
    row.own_prefix = kOddBytes;
    row.prefix_hash = 0xfedcba9876543210;
    batch.messages.push_back(row);
    batch.deliveries.push_back({{account, base::MessageId::New(), uid % 3}, 2, uid, uid, 77, -1});
    return batch;
  }

  void FillMail() {
    for (AccountId account = 1; account <= 3; ++account) {
      for (Uid uid = 1; uid <= 40; ++uid) ASSERT_TRUE(Write(Delivered(account, uid)).ok());
    }
    WriteBatch batch = Delivered(1, 41);
    batch.PutMailbox({.account = 1, .mailbox = 3, .name = "gone", .special_use = "\\Trash"});
    batch.keywords.push_back({1, 2, 127, "$\xc3\xbcrgent"});
    batch.copies.push_back({1, 2, 5, 3, TestMessage(1, 3, 1, 90).columns});
    batch.flags.push_back({1, 2, 7, 91, 0xffff, {~uint64_t{0}, uint64_t{1} << 63}});
    batch.subscriptions.push_back({1, kUtf8Name});
    batch.operations.push_back({1, kOddBytes, 5, kOddBytes});
    ASSERT_TRUE(Write(batch).ok());
    WriteBatch more;
    more.expunges.push_back({1, 2, 92, 8, 107008, 1700000000000});
    more.DropMailbox({1, 3, 93, 1700000000000});
    // A second shared prefix of one blob.
    more.PutBody({107001, 5, "other", "x"});
    ASSERT_TRUE(Write(more).ok());
    ASSERT_TRUE(mail_->PutSuspects(LanesNow(), {{107002, 5}}).ok());
    for (LaneRow& lane : lanes_) ++lane.batch;
    ASSERT_TRUE(mail_->Condemn(LanesNow(), {99}, 6).ok());
    for (LaneRow& lane : lanes_) ++lane.batch;
  }

  void FillDirectory() {
    const auto run = [&](std::string_view sql, const auto&... values) {
      const absl::Status status = directory_->Run(sql, values...);
      ASSERT_TRUE(status.ok()) << sql << status;
    };
    const sql::Bytes odd(kOddBytes);
    const sql::Bytes id(std::string_view(kOddBytes).substr(0, 16));
    run("UPDATE head SET revision=12");
    run("UPDATE counter SET value=7 WHERE name='account'");
    run("INSERT INTO key_check(one,digest) VALUES(1,?1)", odd);
    run("INSERT INTO object(kind,name,revision,directory,sealed,data) VALUES('k','n',1,0,1,?1)",
        odd);
    run("INSERT INTO credential(kind,owner,field,hash,scram) VALUES('k','o','f','$argon2','s')");
    run("INSERT INTO revision(revision,time_ms,author,reason,commit_id)"
        " VALUES(11,5,'a','',NULL),(12,-6,'b',?1,?2)",
        kUtf8Name, id);
    run("INSERT INTO revision_change(revision,position,kind,name,sealed,`before`,`after`,object)"
        " VALUES(12,0,'k','n',1,NULL,?1,3),(12,1,'k','m',0,'',NULL,0)",
        odd);
    run("INSERT INTO domain(id,name,revision,session_revision,data) VALUES(1,'example.org',1,2,?1)",
        odd);
    run("INSERT INTO domain_name(name,domain) VALUES('example.org',1)");
    run("INSERT INTO address(domain,local,type,object) VALUES(1,?1,2,3)", "j\xc3\xbcrgen");
    run("INSERT INTO account(id,domain,local,revision,session_revision,data)"
        " VALUES(3,1,?1,4,5,?2)",
        "j\xc3\xbcrgen", odd);
    run("INSERT INTO alias(id,domain,local,revision,session_revision,data) "
        "VALUES(1,1,'all',4,5,?1)",
        odd);
    run("INSERT INTO deleting(account,since) VALUES(99,5)");
    run("INSERT INTO journal(id,description,registered) VALUES(?1,'queue',5)", id);
  }

  void FillQueue() {
    const sql::Bytes id(std::string_view(kOddBytes).substr(0, 16));
    ASSERT_TRUE(queue_
                    ->Run("INSERT INTO queue_journal(id,owner,instance,epoch,batch,expires_ms,beat,"
                          "closed) VALUES(?1,'q',?1,1,2,3,4,0)",
                          id)
                    .ok());
    ASSERT_TRUE(queue_
                    ->Run("INSERT INTO queue_entry(journal,message,part,blob_key,record)"
                          " VALUES(?1,?1,0,7000,?2)",
                          id, sql::Bytes(kOddBytes))
                    .ok());
  }

  mysql::Options Target() const {
    mysql::Options options;
    options.target = *mysql::ParseTarget(server_->Url(schema_));
    options.password = MariadbServer::kPassword;
    return options;
  }
  std::string FileOf(MoveFile file) {
    switch (file) {
      case MoveFile::kMail:
        return Path("mail.db");
      case MoveFile::kDirectory:
        return Path("directory.db");
      case MoveFile::kQueue:
        return Path("queue.db");
      case MoveFile::kSegments:
        break;
    }
    return Path("blobs.db");
  }
  std::vector<MoveSource::File> Files() {
    std::vector<MoveSource::File> files;
    for (const MoveFile file :
         {MoveFile::kMail, MoveFile::kDirectory, MoveFile::kQueue, MoveFile::kSegments}) {
      files.push_back({file, FileOf(file), ""});
    }
    return files;
  }
  std::unique_ptr<Move> NewMove() {
    return std::make_unique<Move>(
        MoveOptions{.files = Files(),
                    .target = Target(),
                    .url = "mysql://u@h/db",
                    .data = dir_.path(),
                    .blobs = ""},
        Move::Writers{*mail_, *gate_}, [this](const MoveProgress& told) { OnTold(told); },
        cancelled_);
  }
  void OnTold(const MoveProgress& told) {
    told_.push_back(told);
    if (on_told) on_told(told);
  }
  // Both sides row by row, by other means than the move's own comparison.
  void ExpectSame();
  std::string Server(const std::string& sql) { return server_->Sql("USE " + schema_ + "; " + sql); }

  static MariadbServer* server_;
  posthorn::testing::TempDir dir_;
  std::string schema_;
  const std::shared_ptr<sql::WriteGate> gate_ = std::make_shared<sql::WriteGate>();
  std::unique_ptr<TrackedDatabase> mail_;
  std::unique_ptr<sql::Database> directory_file_;
  std::unique_ptr<sql::Connection> directory_;
  std::unique_ptr<sql::Connection> queue_;
  std::unique_ptr<SegmentRegistry> registry_;
  std::vector<LaneRow> lanes_;
  std::atomic<bool> cancelled_{false};
  std::vector<MoveProgress> told_;
  std::function<void(const MoveProgress&)> on_told;
};

inline MariadbServer* MoveTest::server_ = nullptr;

// Lines in one order, whatever a collation thinks of them.
inline std::vector<std::string> Sorted(std::string_view text) {
  std::vector<std::string> lines;
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), text.find('\n') + 1))) {
    lines.emplace_back(text.substr(0, text.find('\n')));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

inline void MoveTest::ExpectSame() {
  for (const MoveTable& table : MoveTables()) {
    const auto lite = *sqlite::Connection::Open({.path = FileOf(table.file)});
    std::string here;
    std::string there;
    for (const MoveColumn& column : table.columns) {
      const std::string name = "`" + column.name + "`";
      const std::string from = column.instead.empty() ? name : column.instead;
      there += "," + name;
      here += here.empty() ? "" : "||'|'||";
      if (column.type >= MoveColumn::Type::kBytes) {
        here += "CASE WHEN " + from + " IS NULL THEN 'NULL' ELSE hex(" + from + ") END";
        there.replace(there.size() - name.size(), name.size(),
                      "COALESCE(HEX(" + name + "),'NULL')");
      } else {
        here += "printf('" +
                std::string(column.type == MoveColumn::Type::kUnsigned ? "%llu" : "%lld") + "'," +
                from + ")";
      }
    }
    sqlite::Cursor cursor = lite->Query("SELECT " + here + " FROM `" + table.source + "`");
    std::string ours;
    while (*cursor.Next()) ours += std::string(cursor.Text(0)) + "\n";
    EXPECT_NE(ours, "") << table.source << ": the sample has no row of it";
    EXPECT_EQ(Sorted(ours),
              Sorted(Server("SELECT CONCAT_WS('|'" + there + ") FROM `" + table.target + "`")))
        << table.source;
  }
}

}  // namespace posthorn::store_service
