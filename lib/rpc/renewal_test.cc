// Certificates that change while connections stand.

#include <atomic>
#include <thread>

#include "lib/observe/metrics.h"
#include "lib/rpc/tls_fixture.h"

namespace posthorn::rpc {
namespace {

using common::v1::Event;
using std::chrono::milliseconds;

class RenewalTest : public TlsFixture {};

net::Task<void> Say(RawCall& call, std::string text) {
  Event event = rpc::Event(text);
  EXPECT_EQ(co_await call.Write(event), absl::OkStatus());
  const absl::StatusOr<bool> more = co_await call.Read(event);
  EXPECT_TRUE(more.ok() && *more) << more.status();
  EXPECT_EQ(event.text(), text);
}

struct Traffic {
  std::atomic<bool> stop = false;
  std::atomic<int> callers = 0;
  std::atomic<uint64_t> calls = 0;
  std::atomic<uint64_t> failed = 0;
  std::string reason;
};

net::Task<void> CallOnAndOn(Client& client, std::string stream, Traffic& load) {
  while (!load.stop) {
    const auto reply = co_await client.Call(kEcho, stream, Flow::kHoldBack, {}, rpc::Event("x"));
    ++load.calls;
    if (reply.ok()) continue;
    ++load.failed;
    load.reason = std::string(base::Message(reply.status()));
  }
  --load.callers;
}

double Reloads() {
  return observe::NewCounter("posthorn_process_certificate_reloads_total", "")->value();
}

TEST_F(RenewalTest, RenewalUnderLoadFailsNoCall) {
  const auto server_credentials = Make("store-service");
  StartTlsServer(server_credentials);
  const auto client_credentials = Make("smtp-gateway");
  auto client = ClientAs(client_credentials);
  Traffic load;
  OnLoop([&] {
    for (const char* stream : {"", "s", "s", ""}) {
      ++load.callers;
      loop().Spawn("test", CallOnAndOn(*client, stream, load));
    }
  });
  const auto wait_for_calls = [&load] {
    for (const uint64_t before = load.calls; load.calls < before + 200;) std::this_thread::yield();
  };
  wait_for_calls();
  const double reloads = Reloads();
  for (int round = 0; round < 10; ++round) {
    PutFiles("store-service", IdentityOf("store-service"), authority_.certificate_pem);
    Look(server_credentials);
    wait_for_calls();
    PutFiles("smtp-gateway", IdentityOf("smtp-gateway"), authority_.certificate_pem);
    Look(client_credentials);
    wait_for_calls();
  }
  load.stop = true;
  while (load.callers > 0) std::this_thread::yield();
  EXPECT_EQ(load.failed, 0U) << load.reason;
  EXPECT_EQ(Reloads() - reloads, 20);
  StopTlsServer();
}

TEST_F(RenewalTest, ACallUnderWayGoesOnWhereItBegan) {
  StartTlsServer(Make("store-service"));
  const auto credentials = Make("smtp-gateway");
  auto client = ClientAs(credentials);
  std::vector<std::unique_ptr<RawCall>> calls;
  for (const char* stream : {"", "s"}) {
    OnLoop([&] { calls.push_back(client->Start(kChat.path, stream, Flow::kFree, {})); });
    Run(Say(*calls.back(), "before"));
  }
  PutFiles("smtp-gateway", IdentityOf("smtp-gateway"), authority_.certificate_pem);
  Look(credentials);
  for (const char* stream : {"", "s"}) EXPECT_TRUE(RoleSeen(*client, stream).ok());
  // Longer than it takes to let go of connections that nobody uses.
  Run(net::Sleep(loop(), milliseconds(2500)));
  for (const auto& call : calls) Run(Say(*call, "after"));
  OnLoop([&] { calls.clear(); });
  StopTlsServer();
}

TEST_F(RenewalTest, AnAuthorityIsReplacedStepByStep) {
  const certs::Identity old = authority_;
  const certs::Identity young = NewAuthority();
  const std::string both = young.certificate_pem + old.certificate_pem;
  const auto server_credentials = Make("store-service");
  StartTlsServer(server_credentials);
  const auto client_credentials = Make("smtp-gateway");
  PutFiles("imap-gateway", IdentityOf("imap-gateway"), old.certificate_pem);
  // Everybody learns the new authority, then the server shows its certificate.
  Put(Path("store-service", "ca"), both);
  Look(server_credentials);
  Put(Path("smtp-gateway", "ca"), both);
  Look(client_credentials);
  authority_ = young;
  PutFiles("store-service", IdentityOf("store-service"), both);
  Look(server_credentials);
  EXPECT_EQ(*RoleSeen(*ClientAs(client_credentials)), "smtp-gateway") << "old certificate";
  PutFiles("smtp-gateway", IdentityOf("smtp-gateway"), both);
  Look(client_credentials);
  EXPECT_EQ(*RoleSeen(*ClientAs(client_credentials)), "smtp-gateway") << "new certificate";
  // Nobody believes the old one any more.
  Put(Path("store-service", "ca"), young.certificate_pem);
  Look(server_credentials);
  Put(Path("imap-gateway", "ca"), both);
  EXPECT_EQ(Outcome(*ClientAs(Load("imap-gateway"))), Code::kUnavailable);
  EXPECT_EQ(*RoleSeen(*ClientAs(client_credentials)), "smtp-gateway");
  StopTlsServer();
}

TEST_F(RenewalTest, AClientKeepsAConnectionThatWorksUntilItsNewCertificateDoes) {
  StartTlsServer(Make("store-service"));
  const auto credentials = Make("smtp-gateway");
  auto client = ClientAs(credentials);
  EXPECT_TRUE(RoleSeen(*client).ok());
  const certs::Identity ours = std::exchange(authority_, NewAuthority());
  PutFiles("smtp-gateway", IdentityOf("smtp-gateway"), ours.certificate_pem);
  Look(credentials);
  // The server refuses the new one: a client that had nothing else would fail.
  EXPECT_EQ(Outcome(*ClientAs(credentials)), Code::kUnavailable);
  for (const char* stream : {"", "s"}) EXPECT_TRUE(RoleSeen(*client, stream).ok());
  StopTlsServer();
}

TEST_F(RenewalTest, FilesThatDoNotFitTogetherAreNotUsed) {
  const auto credentials = Make("smtp-gateway");
  const auto before = credentials->current();
  const certs::Identity next = IdentityOf("smtp-gateway");
  Put(Path("smtp-gateway", "key"), next.key_pem);
  Look(credentials);
  EXPECT_EQ(credentials->current(), before);
  Put(Path("smtp-gateway", "crt"), "torn");
  Look(credentials);
  EXPECT_EQ(credentials->current(), before);
  Put(Path("smtp-gateway", "crt"), next.certificate_pem);
  Look(credentials);
  EXPECT_EQ(credentials->current()->certificate_pem, next.certificate_pem);
  EXPECT_EQ(credentials->current()->generation, before->generation + 1);
}

TEST_F(RenewalTest, TheMetricTellsWhichEndComesFirst) {
  authority_ = *certs::MakeAuthority("Test", Validity::Days(2));
  const auto credentials = Make("smtp-gateway");  // three days, cut to the authority's two
  const double left = observe::NewGauge("posthorn_process_certificate_expiry_seconds", "")->value();
  EXPECT_NEAR(left, 2 * 86400, 60);
}

TEST_F(RenewalTest, FilesThatAreMissingOrNoCertificatesAreNamed) {
  PutFiles("cli", IdentityOf("cli"), "nothing");
  OnLoop([this] {
    const auto bad =
        Credentials::Load(loop(), {Path("cli", "crt"), Path("cli", "key"), Path("cli", "ca")});
    EXPECT_NE(base::Message(bad.status()).find("cli.ca"), std::string_view::npos) << bad.status();
    const auto missing =
        Credentials::Load(loop(), {Path("no", "crt"), Path("no", "key"), Path("no", "ca")});
    EXPECT_NE(base::Message(missing.status()).find("no.crt"), std::string_view::npos);
  });
}

}  // namespace
}  // namespace posthorn::rpc
