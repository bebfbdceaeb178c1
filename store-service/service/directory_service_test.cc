// Objects and Directory over real connections: what admin-service commits is what gateways see.

#include "store-service/service/directory_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/auth/hmac.h"
#include "lib/base/strings.h"
#include "lib/rpc/client.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/service/objects_service.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
namespace config = posthorn::config::v1;
using posthorn::testing::RunTask;
using ::testing::ElementsAre;

class FixedUsage final : public UsageSource {
 public:
  Usage UsageOf(base::AccountId) override { return {.bytes = bytes, .messages = 1}; }
  uint64_t bytes = 0;
};

class DirectoryServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Open();
    config::Domain domain;
    config::Account account;
    account.set_password("secret");
    account.set_quota(1000);
    ASSERT_TRUE(Commit({Change("Domain", "example.org", domain),
                        Change("Account", "alice@example.org", account)})
                    .ok());
  }
  void TearDown() override { Close(); }

  void Open() {
    configuration_ = *Configuration::Open(loop_, file::Real(),
                                          {.directory = directory_.path(), .hash_threads = 1});
    signer_ = std::make_unique<TicketSigner>(configuration_->box().Derive("ticket"),
                                             configuration_->model());
    authenticator_ = std::make_unique<Authenticator>(*configuration_, *signer_);
    objects_ = std::make_unique<ObjectsService>(*configuration_, *authenticator_);
    service_ = std::make_unique<DirectoryService>(*configuration_, *authenticator_);
    service_->SetUsage(usage_);
    const std::string gateway = "unix:" + directory_.File("smtp.sock");
    const std::string admin = "unix:" + directory_.File("admin.sock");
    server_ = rpc::Server::Create(
        loop_, {{{gateway, "smtp-gateway"}, {admin, "admin-service"}}, "store-service"});
    objects_->Register(*server_);
    service_->Register(*server_);
    ASSERT_TRUE(server_->Start().ok());
    gateway_ = rpc::Client::Create(loop_, {gateway, ""});
    admin_ = rpc::Client::Create(loop_, {admin, ""});
  }
  void Close() {
    gateway_.reset();
    admin_.reset();
    server_->Stop(std::chrono::milliseconds(0));
    server_.reset();
    service_.reset();
    objects_.reset();
    authenticator_.reset();
    configuration_.reset();
  }

  static v1::Change Change(std::string_view kind, std::string name,
                           const google::protobuf::Message& message) {
    v1::Change change;
    change.set_kind(base::StrCat("posthorn.config.v1.", kind));
    change.set_name(std::move(name));
    change.set_data(message.SerializeAsString());
    return change;
  }
  template <class Q, class R>
  absl::StatusOr<R> Call(rpc::Client& client, rpc::Method<Q, R> method, Q request) {
    return RunTask(loop_, client.Call(method, {}, std::move(request)));
  }
  absl::StatusOr<v1::CommitReply> Commit(std::vector<v1::Change> changes) {
    v1::CommitRequest request;
    request.set_expected_head(configuration_->head());
    for (v1::Change& change : changes) *request.add_changes() = std::move(change);
    return Call(*admin_, rpc::store::kObjectsCommit, std::move(request));
  }
  v1::ResolveReply Resolve(std::string address) {
    v1::ResolveRequest request;
    request.set_address(std::move(address));
    return Call(*gateway_, rpc::store::kDirectoryResolve, std::move(request)).value();
  }

  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  FixedUsage usage_;
  std::unique_ptr<Configuration> configuration_;
  std::unique_ptr<TicketSigner> signer_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<ObjectsService> objects_;
  std::unique_ptr<DirectoryService> service_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> gateway_, admin_;
};

// A login conversation as a gateway leads it.
class Conversation {
 public:
  Conversation(net::Loop& loop, rpc::Client& client)
      : loop_(loop),
        call_(client.Start(rpc::store::kDirectoryAuthenticate.path, "auth", rpc::Flow::kFree, {})) {
  }
  v1::AuthenticateReply Begin(std::string mechanism, std::optional<std::string> response = {}) {
    v1::AuthenticateRequest request;
    request.set_mechanism(std::move(mechanism));
    request.set_protocol("imap");
    request.set_has_response(response.has_value());
    request.set_response(response.value_or(""));
    return Exchange(std::move(request));
  }
  v1::AuthenticateReply Answer(std::string response) {
    v1::AuthenticateRequest request;
    request.set_response(std::move(response));
    return Exchange(std::move(request));
  }

 private:
  v1::AuthenticateReply Exchange(v1::AuthenticateRequest request) {
    EXPECT_TRUE(RunTask(loop_, call_->Write(request)).ok());
    v1::AuthenticateReply reply;
    EXPECT_TRUE(RunTask(loop_, call_->Read(reply)).value());
    return reply;
  }
  net::Loop& loop_;
  std::unique_ptr<rpc::RawCall> call_;
};

TEST_F(DirectoryServiceTest, ResolvesWhatWasCommitted) {
  usage_.bytes = 999;
  v1::ResolveReply reply = Resolve("Alice+x@EXAMPLE.org");
  EXPECT_EQ(reply.kind(), v1::ResolveReply::ACCOUNT);
  EXPECT_EQ(reply.account(), 1U);
  EXPECT_EQ(reply.canonical(), "alice@example.org");
  EXPECT_EQ(reply.detail(), "x");
  EXPECT_EQ(reply.quota(), 1000U);
  EXPECT_EQ(reply.used(), 999U);
  EXPECT_FALSE(reply.over_quota());
  usage_.bytes = 1000;
  EXPECT_TRUE(Resolve("alice@example.org").over_quota());
  EXPECT_EQ(Resolve("bob@example.org").kind(), v1::ResolveReply::UNKNOWN);
  EXPECT_EQ(Resolve("bob@elsewhere.test").kind(), v1::ResolveReply::REMOTE);
  EXPECT_EQ(Resolve("nonsense").kind(), v1::ResolveReply::REMOTE);
}

TEST_F(DirectoryServiceTest, PlainAndLoginEndWithATicket) {
  const std::string plain("\0alice@example.org\0secret", 25);
  const v1::AuthenticateReply reply = Conversation(loop_, *gateway_).Begin("PLAIN", plain);
  EXPECT_EQ(reply.outcome(), v1::AuthenticateReply::SUCCESS);
  EXPECT_EQ(reply.account(), 1U);
  EXPECT_EQ(reply.login(), "alice@example.org");
  EXPECT_THAT(reply.may_send_as(), ElementsAre("alice@example.org"));
  EXPECT_TRUE(signer_->Verify(reply.ticket()).ok());

  Conversation login(loop_, *gateway_);
  EXPECT_EQ(login.Begin("LOGIN").challenge(), "Username:");
  EXPECT_EQ(login.Answer("alice@example.org").challenge(), "Password:");
  EXPECT_EQ(login.Answer("wrong").outcome(), v1::AuthenticateReply::FAILURE);
  EXPECT_EQ(Conversation(loop_, *gateway_).Begin("KERBEROS").outcome(), v1::AuthenticateReply::BAD);
  EXPECT_EQ(Conversation(loop_, *gateway_).Begin("PLAIN", "x").outcome(),
            v1::AuthenticateReply::BAD);
}

TEST_F(DirectoryServiceTest, ScramStrangersFailOnlyAtTheirProof) {
  Conversation scram(loop_, *gateway_);
  const v1::AuthenticateReply first = scram.Begin("SCRAM-SHA-256", "n,,n=nobody@example.org,r=abc");
  EXPECT_EQ(first.outcome(), v1::AuthenticateReply::CONTINUE);
  const std::string nonce = first.challenge().substr(2, first.challenge().find(',') - 2);
  const std::string last =
      base::StrCat("c=biws,r=", nonce, ",p=", base::Base64(std::string(32, 'p')));
  EXPECT_EQ(scram.Answer(last).outcome(), v1::AuthenticateReply::FAILURE);
}

TEST_F(DirectoryServiceTest, OnlyAdminMayWriteConfiguration) {
  v1::CommitRequest request;
  EXPECT_EQ(Call(*gateway_, rpc::store::kObjectsCommit, request).status().code(),
            absl::StatusCode::kPermissionDenied);
  v1::IssueTicketRequest ticket;
  ticket.set_address("alice@example.org");
  EXPECT_FALSE(Call(*gateway_, rpc::store::kDirectoryIssueTicket, ticket).ok());
  EXPECT_TRUE(
      signer_->Verify(Call(*admin_, rpc::store::kDirectoryIssueTicket, ticket)->ticket()).ok());
}

TEST_F(DirectoryServiceTest, WatchersAreToldAtOnceAndHearAHeartbeat) {
  auto watch = gateway_->Start(rpc::store::kDirectoryWatch.path, "watch", rpc::Flow::kFree,
                               {.timeout = std::chrono::hours(1)});
  ASSERT_TRUE(RunTask(loop_, watch->Write(v1::WatchDirectoryRequest())).ok());
  watch->WritesDone();
  v1::DirectoryChange change;
  ASSERT_TRUE(RunTask(loop_, watch->Read(change)).value());
  EXPECT_EQ(change.account(), 0U);
  config::Account account;
  account.set_enabled(false);
  ASSERT_TRUE(Commit({Change("Account", "alice@example.org", account)}).ok());
  ASSERT_TRUE(RunTask(loop_, watch->Read(change)).value());
  EXPECT_EQ(change.account(), 1U);
  EXPECT_EQ(change.address(), "alice@example.org");
  EXPECT_TRUE(change.end_sessions());
  ASSERT_TRUE(RunTask(loop_, watch->Read(change)).value());
  EXPECT_EQ(change.account(), 0U);
}

TEST_F(DirectoryServiceTest, ListsAndTellsHistory) {
  v1::ListObjectsRequest list;
  list.set_kind("posthorn.config.v1.Account");
  const auto objects = Call(*admin_, rpc::store::kObjectsList, list);
  ASSERT_TRUE(objects.ok()) << objects.status();
  ASSERT_EQ(objects->objects_size(), 1);
  EXPECT_EQ(objects->objects(0).name(), "alice@example.org");
  EXPECT_EQ(objects->objects(0).id(), 1U);
  EXPECT_EQ(objects->revision(), 1U);
  EXPECT_EQ(
      Call(*admin_, rpc::store::kObjectsHistory, v1::HistoryRequest())->revisions(0).changes_size(),
      2);
  v1::CommitRequest stale;
  EXPECT_EQ(Call(*admin_, rpc::store::kObjectsCommit, stale).status().code(),
            absl::StatusCode::kAborted);
}

TEST_F(DirectoryServiceTest, TicketsOutliveARestart) {
  const std::string plain("\0alice@example.org\0secret", 25);
  const std::string ticket = Conversation(loop_, *gateway_).Begin("PLAIN", plain).ticket();
  Close();
  Open();
  EXPECT_TRUE(signer_->Verify(ticket).ok());
  EXPECT_EQ(Resolve("alice@example.org").account(), 1U);
}

}  // namespace
}  // namespace posthorn::store_service
