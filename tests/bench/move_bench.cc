// How fast `posthorn store migrate` copies: move_bench [MESSAGES]. Accounts of 1,000 messages, each
// with a delivery and a body of 700 bytes; MariaDB on the same machine.

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/database/rows_for_test.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/directory/schema.h"
#include "store-service/move/move.h"

namespace posthorn::store_service {
namespace {

constexpr Uid kEach = 1000;

bool Fill(Database& database, AccountId accounts) {
  const auto lane = database.AcquireLane(0, "bench", 1000);
  if (!lane.ok()) return false;
  uint64_t batch = lane->batch;
  for (AccountId account = 1; account <= accounts; ++account) {
    WriteBatch rows;
    rows.PutAccount({.account = account, .modseq = kEach, .used_count = kEach});
    rows.PutMailbox({.account = account,
                     .mailbox = 1,
                     .name = "INBOX",
                     .uid_next = kEach + 1,
                     .modseq = kEach,
                     .messages = kEach});
    for (Uid uid = 1; uid <= kEach; ++uid) {
      MessageRow row = TestMessage(account, 1, uid, uid);
      row.columns.blob_key = account * 1000000 + uid;
      rows.messages.push_back(row);
      rows.PutBody({row.columns.blob_key, 1, std::string(200, 'r'), std::string(500, 'd')});
      rows.deliveries.push_back({{account, base::MessageId::New(), 0}, 1, uid, uid, 1, 1});
    }
    if (!database.Commit({{0, lane->epoch, ++batch}}, rows).ok()) return false;
  }
  return true;
}

int Run(AccountId accounts) {
  posthorn::testing::TempDir folder;
  const auto mariadb = posthorn::testing::MariadbServer::Start({"--innodb-buffer-pool-size=1G"});
  if (mariadb == nullptr) return 1;
  TrackedDatabase mail(OpenSqliteDatabase({.path = folder.File("mail.db")}).value());
  const auto directory = sql::OpenSqlite({.path = folder.File("directory.db")})->Connect().value();
  if (!Fill(mail, accounts) || !directory->Migrate("directory", DirectorySchema()).ok() ||
      !directory->Run("INSERT INTO key_check(one,digest) VALUES(1,'bench')").ok()) {
    return 1;
  }
  MoveOptions options{.files = {{MoveFile::kMail, folder.File("mail.db"), ""},
                                {MoveFile::kDirectory, folder.File("directory.db"), ""}},
                      .url = "bench",
                      .data = folder.path(),
                      .blobs = ""};
  options.target.target = mysql::ParseTarget(mariadb->Url(mariadb->NewDatabase())).value();
  options.target.password = posthorn::testing::MariadbServer::kPassword;
  sql::WriteGate gate;
  std::atomic<bool> cancelled{false};
  const auto tell = [](const MoveProgress& progress) {
    if (!progress.note.empty()) std::printf("%s\n", progress.note.c_str());
  };
  const auto moved = Move(options, {mail, gate}, tell, cancelled).Run();
  if (!moved.ok()) {
    std::printf("%s\n", moved.status().ToString().c_str());
    return 1;
  }
  std::printf(
      "%llu messages, %llu rows in %lld ms: %.0f messages/s, %.0f rows/s; stopped %lld ms\n",
      static_cast<unsigned long long>(moved->messages),
      static_cast<unsigned long long>(moved->rows), static_cast<long long>(moved->copy_ms),
      1000.0 * static_cast<double>(moved->messages) / static_cast<double>(moved->copy_ms),
      1000.0 * static_cast<double>(moved->rows) / static_cast<double>(moved->copy_ms),
      static_cast<long long>(moved->stop_ms));
  return 0;
}

}  // namespace
}  // namespace posthorn::store_service

int main(int argc, char** argv) {
  const int messages = argc > 1 ? std::atoi(argv[1]) : 200000;
  return posthorn::store_service::Run(
      static_cast<posthorn::base::AccountId>(messages / posthorn::store_service::kEach));
}
