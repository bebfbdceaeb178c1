#pragma once

// What the tests of the queue's journals share: a store that serves only journals, and a connection
// to it that loses questions and answers on demand.

#include <gtest/gtest.h>

#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/journal/store_journal.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/queue/queue_journals.h"

namespace posthorn::delivery_queue {

using std::chrono::milliseconds;
using store_service::QueueJournals;
using store_service::QueueLeaseTimes;
namespace sql = store_service::sql;
using testing::RunTask;

inline constexpr milliseconds kPatience{20000};

inline EntryKey Key(int n, uint32_t part = 0) {
  return {base::MessageId::Derive(base::MessageId(), std::to_string(n)), part};
}

// A client whose answers, or questions, get lost on demand.
class Lossy final : public rpc::Client {
 public:
  explicit Lossy(rpc::Client& next) : next_(next) {}
  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view stream,
                                      rpc::Flow flow, rpc::CallOptions options) override {
    return next_.Start(path, stream, flow, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, rpc::Flow flow,
                                  rpc::CallOptions options,
                                  const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    if (away) co_return base::Unavailable("away");
    ++calls;
    if (at_call) at_call(path);
    if (path == rpc::store::kQueueJournalAppend.path) {
      ++appends;
      if (refuse_append == appends) {
        if (at_refusal) at_refusal();
        co_return base::Exhausted("too many calls in progress");
      }
    }
    const bool lost = path == rpc::store::kQueueJournalAppend.path && lose_append == appends;
    const absl::Status status =
        co_await next_.CallRaw(path, stream, flow, std::move(options), request, reply);
    if (lost) co_return base::Unavailable("the answer was lost");
    if (lose_answers > 0) {
      --lose_answers;
      co_return base::Unavailable("the answer was lost");
    }
    co_return status;
  }
  bool connected() const override { return !away; }

  bool away = false;
  int lose_answers = 0;
  int calls = 0;
  std::function<void(std::string_view path)> at_call;
  // Of the batches alone: the number of the one that is refused before it is passed on, and of the
  // one whose answer is lost.
  int appends = 0;
  int refuse_append = 0;
  std::function<void()> at_refusal;
  int lose_append = 0;

 private:
  rpc::Client& next_;
};

// A store that serves only journals.
class Store {
 public:
  Store(net::Loop& loop, sql::Database& database, QueueLeaseTimes times, const std::string& socket)
      : journals_(QueueJournals::Open(loop, database, times).value()),
        server_(rpc::Server::Create(
            loop, {.addresses = {{socket, "delivery-queue"}}, .process = "store-service"})) {
    journals_->Register(*server_);
    EXPECT_TRUE(server_->Start().ok());
  }
  ~Store() { server_->Stop(milliseconds(0)); }
  QueueJournals& journals() { return *journals_; }

 private:
  std::unique_ptr<QueueJournals> journals_;
  std::unique_ptr<rpc::Server> server_;
};

enum class Kind { kFiles, kSqlite, kMariadb };

inline std::string NameOf(const ::testing::TestParamInfo<Kind>& info) {
  if (info.param == Kind::kFiles) return "Files";
  return info.param == Kind::kSqlite ? "Sqlite" : "Mariadb";
}

class QueueJournalTest : public ::testing::TestWithParam<Kind> {
 protected:
  static void TearDownTestSuite() { mariadb_.reset(); }
  void SetUp() override {
    if (GetParam() == Kind::kFiles) return;
    if (GetParam() == Kind::kSqlite) {
      database_ = sql::OpenSqlite({.path = directory_.File("queue.db"), .vfs = ""});
    } else {
      if (!mariadb_) mariadb_ = posthorn::testing::MariadbServer::Start();
      ASSERT_TRUE(mariadb_);
      mysql::Options options;
      options.target = mysql::ParseTarget(mariadb_->Url(mariadb_->NewDatabase())).value();
      options.password = mariadb_->kPassword;
      database_ = sql::OpenMysql(options);
    }
    const std::string socket = "unix:" + directory_.File("store.sock");
    store_ = std::make_unique<Store>(loop_, *database_, times_, socket);
    client_ = rpc::Client::Create(loop_, {socket});
    lossy_ = std::make_unique<Lossy>(*client_);
  }
  void TearDown() override {
    journal_.reset();
    other_.reset();
    lossy_.reset();
    client_.reset();
    store_.reset();
  }

  std::unique_ptr<Journal> OpenFor(const std::string& name, bool reopened = false,
                                   int* over = nullptr) {
    StoreJournalOptions options;
    options.name = name;
    options.instance = std::string(base::MessageId::New().bytes());
    options.reopened = reopened;
    options.renew = milliseconds(20);
    options.watch = milliseconds(400);
    if (over != nullptr) options.over = [over] { ++*over; };
    auto opened = RunTask(loop_, OpenStoreJournal(loop_, *lossy_, std::move(options)));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  void Open() {
    if (journal_) RunTask(loop_, journal_->Close());
    journal_.reset();
    journal_ = GetParam() == Kind::kFiles
                   ? OpenLocalJournal(loop_, file::Real(), {directory_.File("journal")}).value()
                   : OpenFor("a", false, &over_);
  }
  void RunUntil(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    RunTask(loop_,
            [](net::Loop& loop, const std::function<bool()>& done,
               std::chrono::steady_clock::time_point end) -> net::Task<void> {
              while (!done() && std::chrono::steady_clock::now() < end)
                co_await net::Sleep(loop, milliseconds(1));
            }(loop_, done, end));
    EXPECT_TRUE(done());
  }
  absl::Status Put(Journal& journal, EntryKey key, const std::string& record, uint64_t blob = 1) {
    std::optional<absl::Status> answer;
    journal.Put(key, blob, record, [&](absl::Status status) { answer = std::move(status); });
    RunUntil([&] { return answer.has_value(); });
    return answer.value_or(base::Internal("no answer"));
  }
  std::map<EntryKey, std::string> Live(Journal& journal) {
    std::map<EntryKey, std::string> live;
    const auto visit = [&](EntryKey key, std::string record) { live[key] = std::move(record); };
    EXPECT_TRUE(RunTask(loop_, journal.ForEach(visit)).ok());
    return live;
  }
  int64_t Rows(std::string_view table) {
    auto db = database_->Connect().value();
    return db->Integer(base::StrCat("SELECT count(*) FROM ", table)).value();
  }
  static inline std::unique_ptr<posthorn::testing::MariadbServer> mariadb_;
  QueueLeaseTimes times_;
  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  std::unique_ptr<sql::Database> database_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<rpc::Client> client_;
  std::unique_ptr<Lossy> lossy_;
  std::unique_ptr<Journal> journal_, other_;
  int over_ = 0;
};

}  // namespace posthorn::delivery_queue
