#pragma once

// A lane engine on a real database whose commits can be made to fail, and operations to feed it
// with.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/forwarding_database.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

// Passes everything on; `fault` may turn a commit's result into something else.
class FaultyDatabase final : public ForwardingDatabase<Database> {
 public:
  enum class Fault { kNone, kFailBefore, kUnknownAfter, kUnknownBefore, kFull, kAway, kAwayAfter };
  explicit FaultyDatabase(std::unique_ptr<Database> real)
      : ForwardingDatabase(*real), real_(std::move(real)) {}

  absl::Status Commit(const Fence& fence, const WriteBatch& batch) override {
    const Fault now = fault ? fault() : Fault::kNone;
    switch (now) {
      case Fault::kNone:
        return real_->Commit(fence, batch);
      case Fault::kFailBefore:
        return absl::InternalError("made to fail");
      case Fault::kUnknownBefore:
        return absl::UnknownError("link lost");
      case Fault::kUnknownAfter:
        EXPECT_TRUE(real_->Commit(fence, batch).ok());
        return absl::UnknownError("link lost");
      case Fault::kFull:
        return absl::ResourceExhaustedError("disk full");
      case Fault::kAwayAfter:
        EXPECT_TRUE(real_->Commit(fence, batch).ok());
        return Away();
      case Fault::kAway:
        return Away();
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() override {
    if (dead) return Away();
    return real_->OpenSnapshot();
  }

  absl::StatusOr<LaneRow> ReadLane(uint32_t lane) override {
    if (dead) return Away();
    return real_->ReadLane(lane);
  }
  absl::Status RenewLanes(const Fence& lanes, int64_t lease_ms) override {
    return dead ? Away() : real_->RenewLanes(lanes, lease_ms);
  }
  absl::StatusOr<ClusterRows> Beat(const ReplicaRow& me) override {
    if (dead) return Away();
    return real_->Beat(me);
  }
  absl::Status TakeName(const ReplicaRow& me, const ReplicaRow& last) override {
    return dead ? Away() : real_->TakeName(me, last);
  }

  std::vector<std::string> Warnings() override { return real_->Warnings(); }
  DatabaseServer Server() override { return real_->Server(); }

  std::function<Fault()> fault;  // on the committer's thread
  // What a replica needs to stay one does not get through.
  std::atomic<bool> dead = false;

 private:
  static absl::Status Away() { return absl::UnavailableError("the database is away"); }

  std::unique_ptr<Database> real_;
};

// One store: its own database connection, lanes and readers.
struct TestOwner {
  TestOwner(net::Loop& loop, const std::string& path, LaneOptions options)
      : TestOwner(loop, *OpenSqliteDatabase({.path = path}), std::move(options)) {}
  TestOwner(net::Loop& loop, std::unique_ptr<Database> real, LaneOptions options)
      : database(std::move(real)),
        readers(loop, "readers", 2, 1000),
        lanes(loop, database, readers, std::move(options)) {}
  FaultyDatabase database;
  net::BlockingPool readers;
  LaneEngine lanes;
};

inline std::function<absl::StatusOr<Uid>(Change&)> AddTo(const std::string& mailbox) {
  return [mailbox](Change& change) -> absl::StatusOr<Uid> {
    Mailbox* found = change.account().Find(mailbox);
    NewMessage message;
    message.blob_key = change.account().row.next_email_id;
    message.blob_size = 10;
    return change.Add(*found, std::move(message)).uid;
  };
}

class LaneTest : public ::testing::Test {
 protected:
  // The test's database, once more each time.
  virtual std::unique_ptr<Database> Open() {
    return *OpenSqliteDatabase({.path = dir_.File("mail.db")});
  }
  std::unique_ptr<TestOwner> MakeOwner(LaneOptions options = {},
                                       std::vector<uint32_t> lanes = {1, 2}) {
    auto owner = std::make_unique<TestOwner>(loop_, Open(), std::move(options));
    const absl::Status status = testing::RunTask(loop_, owner->lanes.Acquire(std::move(lanes)));
    EXPECT_TRUE(status.ok()) << status;
    return owner;
  }
  void Stop(std::unique_ptr<TestOwner> owner) { testing::RunTask(loop_, owner->lanes.Stop()); }
  absl::StatusOr<Uid> Add(TestOwner& owner, AccountId account) {
    return testing::RunTask(loop_, owner.lanes.Run<Uid>(account, nullptr, AddTo("INBOX")));
  }
  static std::vector<MessageColumns> Rows(Database& database, AccountId account,
                                          MailboxId mailbox = 1) {
    std::vector<MessageColumns> rows;
    auto snapshot = database.OpenSnapshot();
    EXPECT_TRUE(snapshot.ok());
    EXPECT_TRUE((*snapshot)
                    ->ReadColumns(account, mailbox, 0,
                                  [&](const MessageColumns& row) { rows.push_back(row); })
                    .ok());
    return rows;
  }

  testing::TempDir dir_;
  net::Loop loop_;
};

}  // namespace posthorn::store_service
