// The registry of journals with two stores on one database: who is attended, who is asked.

#include "store-service/service/journals_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/rpc/client.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/sql/mysql.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
using posthorn::testing::MariadbServer;
using posthorn::testing::RunTask;
using ::testing::ElementsAre;

class JournalReplicasTest : public ::testing::Test {
 protected:
  struct Replica {
    std::unique_ptr<Configuration> configuration;
    std::unique_ptr<JournalsService> journals;
    std::unique_ptr<rpc::Server> server;
    std::unique_ptr<rpc::Client> queue, admin;
    bool attended = false;
  };
  void SetUp() override {
    database_server_ = MariadbServer::Start();
    ASSERT_NE(database_server_, nullptr);
    mysql::Options options;
    options.target =
        mysql::ParseTarget(database_server_->Url(database_server_->NewDatabase())).value();
    options.password = MariadbServer::kPassword;
    for (Replica* replica : {&a_, &b_}) Open(*replica, options, replica == &a_ ? "a" : "b");
    a_.attended = true;
  }
  void TearDown() override {
    for (Replica* replica : {&a_, &b_}) {
      replica->queue.reset();
      replica->admin.reset();
      replica->server->Stop(std::chrono::milliseconds(0));
      replica->server.reset();
    }
  }
  void Open(Replica& replica, const mysql::Options& options, std::string_view name) {
    Configuration::Options open{.directory = directory_.path()};
    open.database = sql::OpenMysql(options);
    replica.configuration = *Configuration::Open(loop_, file::Real(), std::move(open));
    replica.journals = std::make_unique<JournalsService>(loop_, *replica.configuration);
    replica.journals->SetAttended([&replica] { return replica.attended; });
    const std::string queue = base::StrCat("unix:", directory_.File(name), ".queue");
    const std::string admin = base::StrCat("unix:", directory_.File(name), ".admin");
    replica.server = rpc::Server::Create(
        loop_, {{{queue, "delivery-queue"}, {admin, "admin-service"}}, "store-service"});
    replica.journals->Register(*replica.server);
    ASSERT_TRUE(replica.server->Start().ok());
    replica.queue = rpc::Client::Create(loop_, {queue, ""});
    replica.admin = rpc::Client::Create(loop_, {admin, ""});
  }
  void RegisterAt(Replica& replica) {
    v1::RegisterJournalRequest request;
    request.set_journal_id(kJournal);
    request.set_description("host:/var/queue");
    const auto done =
        RunTask(loop_, replica.queue->Call(rpc::store::kJournalsRegister, {}, std::move(request)));
    ASSERT_TRUE(done.ok()) << done.status();
  }
  std::unique_ptr<rpc::RawCall> AttendAt(Replica& replica) {
    auto call = replica.queue->Start(rpc::store::kJournalsAttend.path, "", rpc::Flow::kFree,
                                     {.timeout = std::chrono::hours(1)});
    v1::JournalAnswer hello;
    hello.set_journal_id(kJournal);
    EXPECT_TRUE(RunTask(loop_, call->Write(hello)).ok());
    return call;
  }
  absl::Status UnregisterAt(Replica& replica) {
    v1::UnregisterJournalRequest request;
    request.set_journal_id(kJournal);
    return RunTask(loop_,
                   replica.admin->Call(rpc::store::kJournalsUnregister, {}, std::move(request)))
        .status();
  }
  absl::Status EndOf(rpc::RawCall& call) {
    v1::JournalQuestion question;
    return RunTask(loop_, call.Read(question)).status();
  }
  absl::Status HeldAt(Replica& replica) {
    return RunTask(loop_, replica.journals->Held({1, 2})).status();
  }
  static net::Task<void> Answer(rpc::RawCall* call) {
    v1::JournalQuestion question;
    if (!(co_await call->Read(question)).ok()) co_return;
    v1::JournalAnswer answer;
    answer.set_question(question.question());
    answer.add_held(2);
    (void)co_await call->Write(answer);
  }

  const std::string kJournal = std::string(16, 'j');
  std::unique_ptr<MariadbServer> database_server_;
  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  Replica a_, b_;
};

TEST_F(JournalReplicasTest, AJournalRegisteredAtOneIsMissedByTheOther) {
  RegisterAt(b_);
  EXPECT_EQ(HeldAt(a_).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(a_.journals->Silent(), ElementsAre("host:/var/queue"));
  const auto call = AttendAt(a_);
  while (!a_.journals->Silent().empty())
    RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  loop_.Spawn("journal", Answer(call.get()));
  EXPECT_THAT(RunTask(loop_, a_.journals->Held({1, 2})).value(), ElementsAre(2U));
}

TEST_F(JournalReplicasTest, OnlyTheOneThatIsAttendedAsksAndAnswers) {
  RegisterAt(a_);
  EXPECT_EQ(base::Message(EndOf(*AttendAt(b_))), base::kNotOwner);
  EXPECT_EQ(base::Message(HeldAt(b_)), base::kNotOwner);
  EXPECT_EQ(base::Message(UnregisterAt(b_)), base::kNotOwner);
  EXPECT_TRUE(b_.journals->Silent().empty());
  // The lane goes to the other one: the stream ends, and goes on there.
  const auto call = AttendAt(a_);
  a_.attended = false;
  b_.attended = true;
  EXPECT_EQ(base::Message(EndOf(*call)), base::kNotOwner);
  const auto there = AttendAt(b_);
  loop_.Spawn("journal", Answer(there.get()));
  while (!HeldAt(b_).ok()) RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
}

TEST_F(JournalReplicasTest, OneThatWasUnregisteredMayComeBackAnywhere) {
  RegisterAt(b_);
  ASSERT_TRUE(UnregisterAt(a_).ok());
  EXPECT_TRUE(HeldAt(a_).ok());
  EXPECT_EQ(EndOf(*AttendAt(a_)).code(), absl::StatusCode::kFailedPrecondition);
  RegisterAt(b_);
  EXPECT_FALSE(HeldAt(a_).ok());
}

}  // namespace
}  // namespace posthorn::store_service
