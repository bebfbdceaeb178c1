#include "admin-service/service/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin-service/service/authority.h"
#include "admin-service/service/bootstrap.h"
#include "admin-service/service/editor.h"
#include "admin-service/service/status_service.h"
#include "admin-service/testing/fake_object_store.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/testing/run_task.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() { Run(NewObjects(*FirstObjects({"localhost"}, "secret"))); }
  void Run(std::unique_ptr<Edit> edit) {
    const auto done = testing::RunTask(loop_, editor_.Run(std::move(edit), {"tester", ""}));
    ASSERT_TRUE(done.ok()) << base::Message(done.status());
  }
  void Put(std::string kind, std::string name, std::string assignment) {
    admin::v1::PutRequest request;
    request.set_kind(kind);
    request.set_name(name);
    request.add_assignments(assignment);
    Run(NewPut(std::move(request)));
  }
  void Delete(std::string kind, std::string name) {
    admin::v1::DeleteRequest request;
    request.set_kind(kind);
    request.set_name(name);
    Run(NewDelete(std::move(request)));
  }
  static std::vector<std::string> Sent(const admin::v1::WatchReply& reply) {
    std::vector<std::string> out;
    for (const auto& object : reply.objects())
      out.push_back((object.removed() ? "-" : "") + object.name());
    return out;
  }

  net::Loop loop_;
  FakeObjectStore store_;
  const config::Schema& schema_ = config::Schema::Generated();
  ModelCache models_{loop_, schema_, store_};
  Editor editor_{schema_, store_, models_};
};

TEST_F(WatchTest, EachProcessGetsItsOwnKindsOnly) {
  const auto queue = Audience("delivery-queue").Next(*models_.current(), 0);
  EXPECT_TRUE(queue.full());
  EXPECT_THAT(Sent(queue), UnorderedElementsAre("default", "default"))
      << "settings and certificate, no listeners";
  const auto spam = Audience("spam-service").Next(*models_.current(), 0);
  for (const auto& object : spam.objects())
    EXPECT_NE(object.kind(), "posthorn.config.v1.Certificate");
  const auto nobody = Audience("admin-service").Next(*models_.current(), 0);
  EXPECT_TRUE(Sent(nobody).empty());
}

TEST_F(WatchTest, AfterTheFirstOnlyWhatChanged) {
  Audience gateway("smtp-gateway");
  auto snapshot = config::Snapshot().With(gateway.Next(*models_.current(), 0));
  Put("listener", "smtp", "port=2525");
  const auto change = gateway.Next(*models_.current(), 0);
  EXPECT_FALSE(change.full());
  EXPECT_THAT(Sent(change), UnorderedElementsAre("smtp"));
  Delete("listener", "pop3");
  const auto removal = gateway.Next(*models_.current(), 0);
  EXPECT_THAT(Sent(removal), UnorderedElementsAre("-pop3"));
  snapshot = snapshot->With(change)->With(removal);
  EXPECT_EQ(snapshot->Find<config::v1::Listener>("smtp")->port(), 2525u);
  EXPECT_EQ(snapshot->Find<config::v1::Listener>("pop3"), nullptr);
  EXPECT_EQ(snapshot->revision(), 3u);
}

TEST_F(WatchTest, WhoHasTheRevisionIsSentNothingAgain) {
  Audience gateway("smtp-gateway");
  const auto reply = gateway.Next(*models_.current(), models_.current()->revision());
  EXPECT_FALSE(reply.full());
  EXPECT_TRUE(Sent(reply).empty());
  Put("listener", "smtp", "port=2525");
  EXPECT_THAT(Sent(gateway.Next(*models_.current(), 1)), UnorderedElementsAre("smtp"));
}

TEST_F(WatchTest, AGatewayWithoutAListenerIsNotMissed) {
  const std::vector<std::string> all = {"pop3-gateway", "smtp-gateway", "store-service"};
  EXPECT_EQ(Needed(all, *models_.current()), all);
  Put("listener", "pop3", "enabled=false");
  EXPECT_EQ(Needed(all, *models_.current()), all) << "pop3s is left";
  Delete("listener", "pop3s");
  EXPECT_THAT(Needed(all, *models_.current()),
              UnorderedElementsAre("smtp-gateway", "store-service"));
}

// A process that knows revision `known` and watches.
class WatchCall final : public rpc::ServerCall {
 public:
  explicit WatchCall(uint64_t known) : known_(known) { context_.role = "smtp-gateway"; }
  const rpc::CallContext& context() const override { return context_; }
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    admin::v1::WatchRequest request;
    request.set_process("smtp-gateway");
    request.set_known_revision(known_);
    into.ParseFromString(request.SerializeAsString());
    co_return true;
  }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    said.emplace_back();
    said.back().ParseFromString(message.SerializeAsString());
    co_return absl::OkStatus();
  }
  bool cancelled() const override { return gone; }
  void OnCancel(std::function<void()>) override {}

  std::vector<admin::v1::WatchReply> said;
  bool gone = false;

 private:
  const uint64_t known_;
  rpc::CallContext context_;
};

net::Task<void> Serve(WatchService& service, WatchCall& call, bool& ended) {
  EXPECT_TRUE((co_await service.Watch(call)).ok());
  ended = true;
}

// Refreshes until the process was told something that is no heartbeat, then ends the watch.
net::Task<void> RefreshUntilTold(net::Loop& loop, ModelCache& models, WatchCall& call,
                                 const bool& ended) {
  while (call.said.empty() || call.said.back().heartbeat()) {
    EXPECT_TRUE((co_await models.Refresh()).ok());
    models.changed().NotifyAll();
    co_await net::Sleep(loop, std::chrono::milliseconds(1));
  }
  call.gone = true;
  models.changed().NotifyAll();
  while (!ended) co_await net::Sleep(loop, std::chrono::milliseconds(1));
}

TEST_F(WatchTest, WhoComesFromAnAdminThatKnowsMoreIsNotTakenBack) {
  ModelCache other(loop_, schema_, store_);
  WatchService service(other);
  ASSERT_TRUE(testing::RunTask(loop_, other.Refresh()).ok());
  Put("listener", "smtp", "port=2525");  // known to `models_` only
  ASSERT_EQ(other.current()->revision(), 1u);
  WatchCall call(2);
  bool ended = false;
  loop_.Spawn("watch", Serve(service, call, ended));
  testing::RunTask(loop_, RefreshUntilTold(loop_, other, call, ended));
  for (const admin::v1::WatchReply& reply : call.said) EXPECT_NE(reply.revision(), 1u);
  EXPECT_EQ(call.said.back().revision(), 2u);
}

TEST_F(WatchTest, ADatabaseThatWentBackTakesEverybodyBack) {
  WatchService service(models_);
  WatchCall call(9);
  bool ended = false;
  loop_.Spawn("watch", Serve(service, call, ended));
  testing::RunTask(loop_, RefreshUntilTold(loop_, models_, call, ended));
  EXPECT_TRUE(call.said.back().full());
  EXPECT_EQ(call.said.back().revision(), 1u);
}

class AuthorityTest : public WatchTest {
 protected:
  absl::StatusOr<Caller> Identify(std::string authorization, std::string role = "") {
    rpc::CallContext context;
    context.role = std::move(role);
    context.authorization = std::move(authorization);
    return testing::RunTask(loop_, authority_.Identify(std::move(context)));
  }
  static std::string Basic(std::string_view pair) { return "Basic " + base::Base64(pair); }
  Authority authority_{schema_, store_, models_, std::string(32, 'k')};
};

TEST_F(AuthorityTest, TheLocalSocketIsTrusted) {
  EXPECT_TRUE(Identify("", "cli")->owner);
  EXPECT_TRUE(absl::IsUnauthenticated(Identify("").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(Identify("Digest x").status()));
}

TEST_F(AuthorityTest, PasswordsAreCheckedByTheStoreAndRememberedForAWhile) {
  EXPECT_TRUE(absl::IsUnauthenticated(Identify(Basic("admin:wrong")).status()));
  EXPECT_TRUE(Identify(Basic("admin:right"))->owner);
  EXPECT_TRUE(Identify(Basic("admin:right"))->owner);
  EXPECT_EQ(store_.password_checks, 2);
  Put("administrator", "admin", "password=other");
  store_.right_password = "other";
  EXPECT_TRUE(absl::IsUnauthenticated(Identify(Basic("admin:right")).status()));
}

TEST_F(AuthorityTest, ATokenDiesWithAChangeOfItsAdministrator) {
  const auto token = testing::RunTask(loop_, authority_.Login("admin", "right"));
  ASSERT_TRUE(token.ok());
  EXPECT_TRUE(Identify("Bearer " + token->text)->owner);
  std::string forged = token->text;
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_TRUE(absl::IsUnauthenticated(Identify("Bearer " + forged).status()));
  EXPECT_TRUE(absl::IsUnauthenticated(Identify("Bearer garbage").status()));
  Put("administrator", "admin", "password=new");
  EXPECT_TRUE(absl::IsUnauthenticated(Identify("Bearer " + token->text).status()));
}

TEST_F(AuthorityTest, AReaderMayNotChange) {
  Put("administrator", "eve", "role=READER");
  rpc::CallContext context;
  context.authorization = Basic("eve:right");
  EXPECT_FALSE(Identify(context.authorization)->owner);
  EXPECT_TRUE(absl::IsPermissionDenied(
      testing::RunTask(loop_, authority_.IdentifyOwner(context)).status()));
}

}  // namespace
}  // namespace posthorn::admin_service
