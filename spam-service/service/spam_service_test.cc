// The service over its contract.

#include "spam-service/service/spam_service.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/spam.h"
#include "lib/testing/fake_resolver.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "spam-service/checks/gtube.h"

namespace posthorn::spam_service {
namespace {

using common::v1::Verdict;

spam::v1::Envelope From(std::string client, std::string sender) {
  spam::v1::Envelope envelope;
  envelope.set_client(std::move(client));
  envelope.set_helo("mail.sender.example");
  envelope.set_sender(std::move(sender));
  envelope.set_hostname("mx.receiver.example");
  return envelope;
}

class SpamServiceTest : public ::testing::Test {
 protected:
  SpamServiceTest() {
    resolver_.AddTxt("sender.example", "v=spf1 ip4:192.0.2.0/28 -all");
    target_ = base::StrCat("unix:", directory_.path(), "/spam.sock");
    server_ = rpc::Server::Create(
        loop_, {.addresses = {{target_, "smtp-gateway"}}, .process = "spam-service"});
    service_.Register(*server_, {"smtp-gateway"});
    EXPECT_TRUE(server_->Start().ok());
    client_ = rpc::Client::Create(loop_, {.target = target_, .authorization = {}});
  }
  ~SpamServiceTest() override {
    client_.reset();
    server_->Stop(std::chrono::milliseconds(0));
  }

  Verdict Envelope(spam::v1::Envelope envelope) {
    spam::v1::CheckEnvelopeRequest request;
    *request.mutable_envelope() = std::move(envelope);
    return RunTask(
               client_->Call(rpc::spam::kSpamCheckEnvelope, "check", rpc::Flow::kFree, {}, request))
        .verdict();
  }
  Verdict Message(spam::v1::Envelope envelope, std::string bytes, Verdict earlier = {}) {
    spam::v1::CheckMessageRequest request;
    *request.mutable_envelope() = std::move(envelope);
    *request.mutable_envelope_verdict() = std::move(earlier);
    request.set_chunk(std::move(bytes));
    return RunTask(client_->Call(rpc::spam::kSpamCheckMessage, "check", rpc::Flow::kHoldBack, {},
                                 request))
        .verdict();
  }
  template <class T>
  T RunTask(net::Task<absl::StatusOr<T>> task) {
    return testing::RunTask(loop_, std::move(task)).value();
  }
  static net::Task<absl::StatusOr<Verdict>> Stream(rpc::Client& client, spam::v1::Envelope envelope,
                                                   std::string bytes, size_t chunk) {
    const auto call =
        client.Start(rpc::spam::kSpamCheckMessage.path, "check-large", rpc::Flow::kFree, {});
    spam::v1::CheckMessageRequest request;
    *request.mutable_envelope() = std::move(envelope);
    for (size_t at = 0; at < bytes.size(); at += chunk) {
      request.set_chunk(bytes.substr(at, chunk));
      const absl::Status written = co_await call->Write(request);
      if (!written.ok()) co_return written;
      request.Clear();
    }
    call->WritesDone();
    spam::v1::CheckMessageReply reply;
    const absl::StatusOr<bool> more = co_await call->Read(reply);
    if (!more.ok()) co_return more.status();
    co_return reply.verdict();
  }

  testing::TempDir directory_;
  std::string target_;
  testing::FakeResolver resolver_;
  net::Loop loop_;
  SpamService service_{loop_, resolver_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> client_;
};

constexpr std::string_view kLetter = "Subject: hello\r\n\r\nDear friend\r\n";

TEST_F(SpamServiceTest, PermittedClientPassesSpf) {
  const Verdict verdict = Envelope(From("192.0.2.1", "bob@sender.example"));
  EXPECT_EQ(verdict.action(), Verdict::ACCEPT);
  EXPECT_EQ(verdict.authentication_results(), "spf=pass smtp.mailfrom=bob@sender.example");
  ASSERT_EQ(verdict.tests_size(), 1);
  EXPECT_EQ(verdict.tests(0).name(), "spf");
}

TEST_F(SpamServiceTest, ForbiddenClientIsMarked) {
  const Verdict verdict = Envelope(From("192.0.2.99", "bob@sender.example"));
  EXPECT_EQ(verdict.action(), Verdict::MARK);
  EXPECT_EQ(verdict.score(), 5);
  EXPECT_EQ(verdict.authentication_results(), "spf=fail smtp.mailfrom=bob@sender.example");
}

TEST_F(SpamServiceTest, LoopbackAndTrustedClientsCostNoQuestion) {
  for (const char* client : {"127.0.0.1", "::1", "10.1.2.3", "fd00::1", ""})
    EXPECT_EQ(Message(From(client, "bob@sender.example"), std::string(kLetter)).tests_size(), 0)
        << client;
  spam::v1::Envelope login = From("192.0.2.99", "bob@sender.example");
  login.set_trusted(true);
  const Verdict verdict = Message(login, std::string(kLetter));
  EXPECT_EQ(verdict.action(), Verdict::ACCEPT);
  EXPECT_EQ(verdict.authentication_results(), "");
  EXPECT_TRUE(resolver_.asked().empty());
}

TEST_F(SpamServiceTest, VerdictOnTheEnvelopeIsTakenOver) {
  const Verdict earlier = Envelope(From("192.0.2.99", "bob@sender.example"));
  resolver_.ForgetAsked();
  const Verdict verdict =
      Message(From("192.0.2.99", "bob@sender.example"), std::string(kLetter), earlier);
  EXPECT_TRUE(resolver_.asked().empty());
  EXPECT_EQ(verdict.SerializeAsString(), earlier.SerializeAsString());
}

TEST_F(SpamServiceTest, GtubeIsRefusedWithAText) {
  const Verdict verdict =
      Message(From("127.0.0.1", "a@b.example"), base::StrCat(kLetter, kGtube, "\r\n"));
  EXPECT_EQ(verdict.action(), Verdict::REJECT);
  EXPECT_EQ(verdict.score(), 1000);
  EXPECT_EQ(verdict.reply_text(), "Rejected as spam; this is a test of the spam filter");
}

TEST_F(SpamServiceTest, LargeMessageIsReadInPieces) {
  const std::string bytes =
      base::StrCat(kLetter, std::string(300'000, 'x'), "\r\n", kGtube, "\r\n");
  const Verdict verdict =
      testing::RunTask(loop_,
                       Stream(*client_, From("192.0.2.1", "bob@sender.example"), bytes, 30'000))
          .value();
  EXPECT_EQ(verdict.action(), Verdict::REJECT);
  EXPECT_EQ(verdict.tests_size(), 2);
}

TEST_F(SpamServiceTest, OnlyTheBeginningOfAHugeMessageIsScanned) {
  const std::string bytes =
      base::StrCat(kLetter, std::string(kMaxScanned, 'x'), "\r\n", kGtube, "\r\n");
  const Verdict verdict =
      testing::RunTask(loop_, Stream(*client_, From("127.0.0.1", "a@b.example"), bytes, 60'000))
          .value();
  EXPECT_EQ(verdict.action(), Verdict::ACCEPT);
  ASSERT_EQ(verdict.tests_size(), 1);
  EXPECT_EQ(verdict.tests(0).name(), "size");
}

void Put(admin::v1::WatchReply& reply, const google::protobuf::Message& object,
         std::string_view name) {
  auto& watched = *reply.add_objects();
  watched.set_kind(std::string(object.GetDescriptor()->full_name()));
  watched.set_name(std::string(name));
  watched.set_data(object.SerializeAsString());
}

TEST_F(SpamServiceTest, FollowsTheConfiguration) {
  resolver_.AddAddress("99.2.0.192.bl.example", "127.0.0.2");
  config::v1::DnsBlacklist list;
  list.set_zone("bl.example");
  list.set_score(2);
  config::v1::Settings settings;
  settings.set_spam_reject_score(7);
  admin::v1::WatchReply reply;
  reply.set_revision(1);
  Put(reply, list, "bl.example");
  Put(reply, settings, "default");
  const auto snapshot = config::Snapshot().With(reply);
  service_.Configure(*snapshot);
  const Verdict verdict = Envelope(From("192.0.2.99", "bob@sender.example"));
  EXPECT_EQ(verdict.action(), Verdict::REJECT);
  EXPECT_EQ(verdict.reply_text(),
            "Rejected as spam; SPF: sender.example does not permit 192.0.2.99; 192.0.2.99 is "
            "listed by bl.example");
  config::v1::TrustedNetwork network;
  network.set_network("192.0.2.0/24");
  admin::v1::WatchReply more;
  more.set_revision(2);
  Put(more, network, "192.0.2.0/24");
  service_.Configure(*snapshot->With(more));
  EXPECT_EQ(Envelope(From("192.0.2.99", "bob@sender.example")).tests_size(), 0);
}

TEST_F(SpamServiceTest, MessageWithoutEnvelopeIsAnError) {
  spam::v1::CheckMessageRequest request;
  request.set_chunk("x");
  const auto reply = testing::RunTask(loop_, client_->Call(rpc::spam::kSpamCheckMessage, "check",
                                                           rpc::Flow::kHoldBack, {}, request));
  EXPECT_TRUE(absl::IsInvalidArgument(reply.status())) << reply.status();
}

}  // namespace
}  // namespace posthorn::spam_service
