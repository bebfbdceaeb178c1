// Connections over TCP with certificates on both sides: who gets in, as whom, and what happens when
// the files change.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "lib/base/strings.h"
#include "lib/certs/issue.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

using certs::Validity;
using common::v1::Event;
using std::chrono::milliseconds;
using Code = absl::StatusCode;

constexpr Method<Event, Event> kGatewaysOnly{"/posthorn.test.Test/GatewaysOnly"};

net::Task<absl::StatusOr<Event>> TellRole(const CallContext& context, Event event) {
  event.set_peer(context.role);
  co_return event;
}

class TlsTest : public RpcFixture {
 protected:
  TlsTest() : authority_(NewAuthority()) {}
  ~TlsTest() override {
    OnLoop([this] { credentials_.clear(); });
  }

  static certs::Identity NewAuthority() {
    return *certs::MakeAuthority("Test", Validity::Days(30));
  }
  std::string Path(std::string_view owner, std::string_view kind) const {
    return base::StrCat(directory(), "/", owner, ".", kind);
  }
  // As `certs renew` does: each file at once, one after the other.
  void Put(const std::string& path, const std::string& text) const {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }
  void PutFiles(const std::string& owner, const certs::Identity& identity,
                const std::string& authorities) const {
    Put(Path(owner, "ca"), authorities);
    Put(Path(owner, "key"), identity.key_pem);
    Put(Path(owner, "crt"), identity.certificate_pem);
  }
  certs::Identity IdentityOf(const std::string& process, Validity validity = Validity::Days(3)) {
    return *certs::Issue(authority_, {CertificateName(process), "localhost"}, validity);
  }
  std::shared_ptr<Credentials> Load(const std::string& owner) {
    std::shared_ptr<Credentials> out;
    OnLoop([&] {
      auto loaded =
          Credentials::Load(loop(), {Path(owner, "crt"), Path(owner, "key"), Path(owner, "ca")});
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      out = *loaded;
      credentials_.push_back(out);
    });
    return out;
  }
  std::shared_ptr<Credentials> Make(const std::string& process) {
    PutFiles(process, IdentityOf(process), authority_.certificate_pem);
    return Load(process);
  }
  void Look(const std::shared_ptr<Credentials>& credentials) {
    OnLoop([&] { credentials->Look(); });
  }

  void StartTlsServer(std::shared_ptr<Credentials> credentials) {
    Server::Options options;
    options.process = "test";
    options.credentials = std::move(credentials);
    options.addresses = {{tls_target_.empty() ? "127.0.0.1:0" : tls_target_},
                         {"unix:" + directory() + "/gateway", "imap-gateway"}};
    OnLoop([&] {
      tls_server_ = Server::Create(loop(), options);
      tls_server_->Handle<Event, Event>(kEcho, {}, &TellRole);
      tls_server_->Handle<Event, Event>(kGatewaysOnly, {"smtp-gateway", "imap-gateway"}, &TellRole);
      const absl::Status started = tls_server_->Start();
      ASSERT_TRUE(started.ok()) << started;
    });
    tls_target_ = base::StrCat("127.0.0.1:", tls_server_->port(0));
  }
  void StopTlsServer() {
    if (tls_server_) tls_server_->Stop(milliseconds(0));
    tls_server_.reset();
  }
  std::shared_ptr<Client> ClientAs(std::shared_ptr<Credentials> credentials,
                                   const std::string& process = "store-service") {
    return ClientOf({tls_target_, "", std::move(credentials), process});
  }
  std::shared_ptr<Client> ClientOf(Client::Options options) {
    std::shared_ptr<Client> client;
    OnLoop([&] {
      client = std::shared_ptr<Client>(Client::Create(loop(), std::move(options)).release(),
                                       [this](Client* gone) { OnLoop([gone] { delete gone; }); });
    });
    return client;
  }
  // The role the server saw, or the error.
  absl::StatusOr<std::string> RoleSeen(Client& client, const char* stream = "",
                                       Method<Event, Event> method = kEcho) {
    absl::StatusOr<std::string> out = std::string();
    Run(Ask(client, stream, method, &out));
    return out;
  }
  Code Outcome(Client& client, const char* stream = "", Method<Event, Event> method = kEcho) {
    return RoleSeen(client, stream, method).status().code();
  }

  certs::Identity authority_;

 private:
  static net::Task<void> Ask(Client& client, std::string stream, Method<Event, Event> method,
                             absl::StatusOr<std::string>* out) {
    CallOptions options;
    options.timeout = milliseconds(5000);
    const auto reply = co_await client.Call(method, stream, Flow::kFree, options, rpc::Event("x"));
    if (reply.ok()) {
      *out = reply->peer();
    } else {
      *out = reply.status();
    }
  }

  std::vector<std::shared_ptr<Credentials>> credentials_;
  std::string tls_target_;
  std::unique_ptr<Server> tls_server_;
};

TEST_F(TlsTest, TheCertificateSaysWhoCalls) {
  StartTlsServer(Make("store-service"));
  auto gateway = ClientAs(Make("smtp-gateway"));
  auto cli = ClientAs(Make("cli"));
  for (const char* stream : {"", "s"}) {
    EXPECT_EQ(*RoleSeen(*gateway, stream), "smtp-gateway");
    EXPECT_EQ(*RoleSeen(*gateway, stream, kGatewaysOnly), "smtp-gateway");
    EXPECT_EQ(*RoleSeen(*cli, stream), "cli");
    EXPECT_EQ(Outcome(*cli, stream, kGatewaysOnly), Code::kPermissionDenied);
  }
  StopTlsServer();
}

TEST_F(TlsTest, UnixSocketsStayWhatTheyAre) {
  StartTlsServer(Make("store-service"));
  // A client with credentials needs none there, and its role is the socket's.
  auto gateway =
      ClientOf({"unix:" + directory() + "/gateway", "", Make("smtp-gateway"), "store-service"});
  EXPECT_EQ(*RoleSeen(*gateway), "imap-gateway");
  StopTlsServer();
}

TEST_F(TlsTest, OneWithoutACertificateGetsNowhere) {
  StartTlsServer(Make("store-service"));
  auto plaintext = ClientAs(nullptr);
  EXPECT_EQ(Outcome(*plaintext), Code::kUnavailable);
  StopTlsServer();
}

TEST_F(TlsTest, CertificatesOfAnotherAuthorityGetNowhere) {
  StartTlsServer(Make("store-service"));
  const certs::Identity ours = std::exchange(authority_, NewAuthority());
  // It believes our server, whose authority it knows; the server does not know its.
  PutFiles("smtp-gateway", IdentityOf("smtp-gateway"), ours.certificate_pem);
  auto stranger = ClientAs(Load("smtp-gateway"));
  EXPECT_EQ(Outcome(*stranger), Code::kUnavailable);
  // The other way round: a client that does not know the server's authority.
  const certs::Identity theirs = std::exchange(authority_, ours);
  PutFiles("imap-gateway", IdentityOf("imap-gateway"), theirs.certificate_pem);
  auto careful = ClientAs(Load("imap-gateway"));
  EXPECT_EQ(Outcome(*careful), Code::kUnavailable);
  StopTlsServer();
}

TEST_F(TlsTest, ExpiredCertificatesGetNowhere) {
  StartTlsServer(Make("store-service"));
  const int64_t now = std::time(nullptr);
  PutFiles("smtp-gateway", IdentityOf("smtp-gateway", {now - 7200, now - 3600}),
           authority_.certificate_pem);
  auto late = ClientAs(Load("smtp-gateway"));
  EXPECT_EQ(Outcome(*late), Code::kUnavailable);
  StopTlsServer();
}

TEST_F(TlsTest, AClientReachesOnlyWhomItMeans) {
  // Something else that has a certificate of ours took the store's address.
  StartTlsServer(Make("spam-service"));
  const auto credentials = Make("smtp-gateway");
  auto wrong = ClientAs(credentials, "store-service");
  EXPECT_EQ(Outcome(*wrong), Code::kUnavailable);
  auto right = ClientAs(credentials, "spam-service");
  EXPECT_EQ(*RoleSeen(*right), "smtp-gateway");
  StopTlsServer();
}

TEST_F(TlsTest, ACertificateMustNameOneProcess) {
  StartTlsServer(Make("store-service"));
  const std::vector<std::string> several[] = {
      {"mail.example"}, {"nobody.posthorn"}, {"cli.posthorn", "smtp-gateway.posthorn"}};
  int number = 0;
  for (const auto& names : several) {
    const std::string owner = base::StrCat("odd", number++);
    const auto issued = certs::Issue(authority_, names, Validity::Days(1));
    ASSERT_TRUE(issued.ok()) << issued.status();
    PutFiles(owner, *issued, authority_.certificate_pem);
    auto odd = ClientAs(Load(owner));
    EXPECT_EQ(Outcome(*odd), Code::kUnauthenticated) << names.front();
    EXPECT_EQ(Outcome(*odd, "s"), Code::kUnavailable) << names.front();
  }
  StopTlsServer();
}

// ---- files that change

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

TEST_F(TlsTest, RenewalUnderLoadFailsNoCall) {
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

TEST_F(TlsTest, AnAuthorityIsReplacedStepByStep) {
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

TEST_F(TlsTest, AClientKeepsAConnectionThatWorksUntilItsNewCertificateDoes) {
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

TEST_F(TlsTest, FilesThatDoNotFitTogetherAreNotUsed) {
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

TEST_F(TlsTest, TheMetricTellsWhichEndComesFirst) {
  authority_ = *certs::MakeAuthority("Test", Validity::Days(2));
  const auto credentials = Make("smtp-gateway");  // three days, cut to the authority's two
  const double left = observe::NewGauge("posthorn_process_certificate_expiry_seconds", "")->value();
  EXPECT_NEAR(left, 2 * 86400, 60);
}

TEST_F(TlsTest, FilesThatAreMissingOrNoCertificatesAreNamed) {
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
