#pragma once

// What the tests of this folder share.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lib/testing/eventually.h"
#include "lib/testing/mariadb.h"
#include "store-service/database/mysql/batch_rows.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/database/rows_for_test.h"

namespace posthorn::store_service {

inline MysqlDatabaseOptions MysqlTestOptions(std::string_view url) {
  MysqlDatabaseOptions options;
  options.connection.target = *mysql::ParseTarget(url);
  options.connection.password = testing::MariadbServer::kPassword;
  options.connection.connect_timeout_s = 2;
  options.connection.io_timeout_s = 5;
  options.connection.scripts = mysql::Options::Scripts::kYes;
  return options;
}

inline absl::Status WriteRowsOn(mysql::Connection& connection, const WriteBatch& batch) {
  mysql::Script script(connection);
  return WriteRows(connection, script, batch);
}

inline std::unique_ptr<Database> OpenForTest(std::string_view url) {
  // As the store does at its start: a node that joins, or sees others join, asks for patience.
  auto opened = OpenMysqlDatabase(MysqlTestOptions(url));
  testing::Eventually(std::chrono::seconds(60), [&] {
    if (absl::IsUnavailable(opened.status())) opened = OpenMysqlDatabase(MysqlTestOptions(url));
    return !absl::IsUnavailable(opened.status());
  });
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

// Message `uid` of account 1 and its body and delivery: what a delivered message writes.
inline WriteBatch Delivered(Uid uid) {
  WriteBatch batch;
  batch.PutAccount({.account = 1, .modseq = uid, .used_count = uid});
  batch.PutMailbox({.account = 1, .mailbox = 2, .name = "x", .uid_next = uid + 1, .messages = uid});
  batch.PutBody({uint64_t{7000} + uid, 1, "Received: x\r\n", "digest"});
  batch.messages.push_back(TestMessage(1, 2, uid, uid));
  batch.deliveries.push_back({{1, base::MessageId::New(), 0}, 2, uid, uid, 1, 1});
  return batch;
}

// The lanes' owner as simple as can be: commits message after message and, when the outcome is
// unknown, lets the lane's row decide, as LaneEngine does.
class SimpleOwner {
 public:
  SimpleOwner(Database& database, LaneRow lane)
      : database_(&database), epoch_(lane.epoch), batch_(lane.batch) {}

  // The final outcome of delivering the next message.
  absl::Status Deliver() {
    const Uid uid = last_ + 1;
    const Fence fence = {{1, epoch_, ++batch_}};
    absl::Status status = database_->Commit(fence, Delivered(uid));
    for (int i = 0; i < 200 && IsOpen(status); ++i) {
      const absl::StatusOr<LaneRow> row = database_->ReadLane(1);
      if (!row.ok()) continue;
      if (row->batch == batch_) {
        status = absl::OkStatus();
      } else if (row->epoch == epoch_) {
        status = absl::CancelledError("it did not happen");
      } else {
        return absl::AbortedError("taken over");
      }
    }
    if (!status.ok()) return status;
    last_ = uid;
    acknowledged_.push_back(uid);
    return status;
  }
  // Everything that was acknowledged is there, once, and nothing else.
  void ExpectAllThere(Database& database) const {
    std::vector<Uid> stored;
    for (const MessageColumns& row : Columns(database, 1, 2, 0)) stored.push_back(row.uid);
    EXPECT_EQ(stored, acknowledged_);
  }
  size_t acknowledged() const { return acknowledged_.size(); }

 private:
  static bool IsOpen(const absl::Status& status) {
    return status.code() == absl::StatusCode::kUnknown ||
           status.code() == absl::StatusCode::kUnavailable;
  }

  Database* database_;
  uint64_t epoch_;
  uint64_t batch_;
  Uid last_ = 0;
  std::vector<Uid> acknowledged_;
};

}  // namespace posthorn::store_service
