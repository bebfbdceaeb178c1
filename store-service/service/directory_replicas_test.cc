// Look-ups and logins at a store that has not yet followed what another one committed.

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/rpc/client.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/service/directory_service.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
namespace config = posthorn::config::v1;
using posthorn::testing::MariadbServer;
using posthorn::testing::RunTask;

ChangeInput Change(std::string_view kind, std::string name,
                   const google::protobuf::Message& message) {
  return {.kind = std::string(kind), .name = std::move(name), .data = message.SerializeAsString()};
}

// `first_` commits; `second_` answers, and never looks for commits of others by itself.
class DirectoryReplicasTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = MariadbServer::Start();
    ASSERT_NE(server_, nullptr);
    options_.target = mysql::ParseTarget(server_->Url(server_->NewDatabase())).value();
    options_.password = MariadbServer::kPassword;
    first_ = Open();
    second_ = Open();
    first_signer_ = std::make_unique<TicketSigner>(first_->box().Derive("t"), first_->model());
    signer_ = std::make_unique<TicketSigner>(second_->box().Derive("t"), second_->model());
    authenticator_ = std::make_unique<Authenticator>(*second_, *signer_);
    service_ = std::make_unique<DirectoryService>(*second_, *authenticator_);
    const std::string gateway = "unix:" + directory_.File("smtp.sock");
    rpc_ = rpc::Server::Create(loop_, {{{gateway, "smtp-gateway"}}, "store-service"});
    service_->Register(*rpc_);
    ASSERT_TRUE(rpc_->Start().ok());
    gateway_ = rpc::Client::Create(loop_, {gateway, ""});
    ASSERT_TRUE(
        Commit({Change(kDomainKind, "example.org", config::Domain()), AccountChange("old")}).ok());
    ASSERT_TRUE(RunTask(loop_, second_->CatchUp()).ok());
  }
  void TearDown() override {
    gateway_.reset();
    rpc_->Stop(std::chrono::milliseconds(0));
    rpc_.reset();
  }
  std::unique_ptr<Configuration> Open() {
    Configuration::Options open{.directory = directory_.path(), .hash_threads = 1};
    open.database = sql::OpenMysql(options_);
    open.follow = std::chrono::hours(1);
    return *Configuration::Open(loop_, file::Real(), std::move(open));
  }
  static ChangeInput AccountChange(std::string_view local) {
    config::Account account;
    account.set_password("secret");
    return Change(kAccountKind, base::StrCat(local, "@example.org"), account);
  }
  absl::Status Commit(std::vector<ChangeInput> changes) {
    CommitInput input{.expected_head = first_->head(), .changes = std::move(changes)};
    return RunTask(loop_, first_->Commit(std::move(input))).status();
  }
  absl::StatusOr<v1::ResolveReply> Resolve(std::string address) {
    v1::ResolveRequest request;
    request.set_address(std::move(address));
    return RunTask(loop_, gateway_->Call(rpc::store::kDirectoryResolve, {}, std::move(request)));
  }
  v1::AuthenticateReply Login(std::string name) {
    auto call = gateway_->Start(rpc::store::kDirectoryAuthenticate.path, "", rpc::Flow::kFree, {});
    v1::AuthenticateRequest request;
    request.set_mechanism("PLAIN");
    request.set_protocol("imap");
    request.set_response(base::StrCat('\0', name, '\0', "secret"));
    request.set_has_response(true);
    EXPECT_TRUE(RunTask(loop_, call->Write(request)).ok());
    v1::AuthenticateReply reply;
    EXPECT_TRUE(RunTask(loop_, call->Read(reply)).ok());
    return reply;
  }

  std::unique_ptr<MariadbServer> server_;
  mysql::Options options_;
  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  std::unique_ptr<Configuration> first_, second_;
  std::unique_ptr<TicketSigner> first_signer_, signer_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<DirectoryService> service_;
  std::unique_ptr<rpc::Server> rpc_;
  std::unique_ptr<rpc::Client> gateway_;
};

TEST_F(DirectoryReplicasTest, NobodyIsUnknownWhoWasMadeAMomentAgoElsewhere) {
  ASSERT_TRUE(Commit({AccountChange("new")}).ok());
  const auto found = Resolve("new@example.org");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->kind(), v1::ResolveReply::ACCOUNT);
  EXPECT_EQ(found->revision(), 2U);
  ASSERT_TRUE(Commit({Change(kDomainKind, "example.net", config::Domain())}).ok());
  EXPECT_EQ(Resolve("x@example.net")->kind(), v1::ResolveReply::UNKNOWN);
}

TEST_F(DirectoryReplicasTest, LoginsKnowTheNewestAccounts) {
  ASSERT_TRUE(Commit({AccountChange("new")}).ok());
  EXPECT_EQ(Login("new@example.org").outcome(), v1::AuthenticateReply::SUCCESS);
  config::Account off;
  off.set_enabled(false);
  ASSERT_TRUE(Commit({Change(kAccountKind, "new@example.org", off)}).ok());
  EXPECT_EQ(Login("new@example.org").outcome(), v1::AuthenticateReply::REFUSED);
}

TEST_F(DirectoryReplicasTest, ATicketThatKnowsMoreThanThisStoreIsBelievedForAMoment) {
  ASSERT_TRUE(Commit({AccountChange("new")}).ok());
  const AccountFacts facts = first_->model().Facts(2);
  const TicketFacts ticket{
      .account = 2, .session_version = facts.session_version, .revision = facts.revision};
  EXPECT_EQ(second_->model().Facts(2).state, AccountState::kUnknown);
  EXPECT_TRUE(signer_->Verify(first_signer_->Issue(ticket)).ok());
  // But not when this store knows as much as the one that signed it.
  TicketFacts old = ticket;
  old.revision = second_->head();
  EXPECT_EQ(signer_->Verify(first_signer_->Issue(old)).status().code(),
            absl::StatusCode::kPermissionDenied);
  ASSERT_TRUE(Commit({AccountChange("new")}).ok());
  ASSERT_TRUE(RunTask(loop_, second_->CatchUp()).ok());
  EXPECT_EQ(signer_->Verify(first_signer_->Issue(ticket)).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(DirectoryReplicasTest, WithoutTheDatabaseOnlyGoodNewsIsGiven) {
  server_->Kill();
  EXPECT_EQ(Resolve("old@example.org")->kind(), v1::ResolveReply::ACCOUNT);
  EXPECT_EQ(Resolve("new@example.org").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Resolve("x@elsewhere.test").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Login("old@example.org").outcome(), v1::AuthenticateReply::TEMPORARY);
}

}  // namespace
}  // namespace posthorn::store_service
