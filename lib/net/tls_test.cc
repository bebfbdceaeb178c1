#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/net/tls_context.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;
using testing::RunTask;
using testing::TempDir;

constexpr milliseconds kLong{10000};
using Context = std::shared_ptr<const TlsContext>;

TlsContext::Identity Identity(const std::vector<std::string>& names) {
  return TlsContext::MakeSelfSigned(names, 10).value();
}

// A server on loopback whose sessions start TLS and then echo, and what the last session saw.
class TlsServer {
 public:
  TlsServer(Loop& loop, std::vector<TlsContext::Identity> identities)
      : context_(TlsContext::Server(std::move(identities)).value()) {
    listener_ = Listener::Bind(loop, {.name = "tls"}).value();
    listener_->Start([this](std::unique_ptr<Connection> c) { return Serve(this, std::move(c)); },
                     [](Refusal) { return std::string(); });
  }
  std::unique_ptr<Connection> Dial(Loop& loop) {
    return RunTask(loop, Connect(loop, "127.0.0.1", listener_->port(), "", kLong)).value();
  }
  uint16_t port() const { return listener_->port(); }
  size_t sessions() const { return listener_->sessions(); }
  std::string server_name;
  std::string exporter;
  absl::Status handshake;
  milliseconds limit = kLong;

 private:
  static Task<void> Serve(TlsServer* self, std::unique_ptr<Connection> connection) {
    self->handshake = co_await connection->StartTls(self->context_, self->limit);
    if (!self->handshake.ok()) co_return;
    self->server_name = connection->tls()->server_name;
    self->exporter = connection->TlsExporter();
    while ((co_await connection->Fill(kLong)).ok()) {
      connection->Append(connection->buffered());
      connection->Consume(connection->buffered().size());
      if (!(co_await connection->Flush(kLong)).ok()) co_return;
    }
  }
  Context context_;
  std::unique_ptr<Listener> listener_;
};

Context Trusting(const TempDir& dir, const TlsContext::Identity& identity) {
  std::ofstream(dir.File("ca.pem")) << identity.chain_pem;
  return TlsContext::Client(TlsContext::Verify::kPeer, dir.File("ca.pem")).value();
}

absl::Status Secure(Loop& loop, Connection& connection, Context context, std::string name) {
  return RunTask(loop, connection.StartTlsClient(std::move(context), std::move(name), kLong));
}

TEST(Tls, VerifiesNamesAndExportsTheSameBinding) {
  Loop loop;
  const TempDir dir;
  const auto identity = Identity({"mx.example.org", "127.0.0.1"});
  TlsServer server(loop, {identity});
  const auto client = server.Dial(loop);
  ASSERT_TRUE(Secure(loop, *client, Trusting(dir, identity), "mx.example.org").ok());
  EXPECT_EQ(client->tls()->version, "TLSv1.3");
  EXPECT_TRUE(client->tls()->peer_verified);
  client->Append("hello\r\n");
  ASSERT_TRUE(RunTask(loop, client->Flush(kLong)).ok());
  EXPECT_EQ(RunTask(loop, client->ReadLine(100, kLong)).value(), "hello");
  EXPECT_EQ(client->TlsExporter().size(), 32u);  // [RFC9266]
  EXPECT_EQ(client->TlsExporter(), server.exporter);
  EXPECT_EQ(server.server_name, "mx.example.org");
  const auto by_address = server.Dial(loop);
  EXPECT_TRUE(Secure(loop, *by_address, Trusting(dir, identity), "127.0.0.1").ok());
}

TEST(Tls, RefusesAWrongNameAndAnUnknownIssuer) {
  Loop loop;
  const TempDir dir;
  const auto identity = Identity({"mx.example.org"});
  TlsServer server(loop, {identity});
  const auto wrong = server.Dial(loop);
  EXPECT_TRUE(
      absl::IsPermissionDenied(Secure(loop, *wrong, Trusting(dir, identity), "other.example")));
  const auto unknown = server.Dial(loop);
  const auto other = Identity({"mx.example.org"});
  EXPECT_TRUE(
      absl::IsPermissionDenied(Secure(loop, *unknown, Trusting(dir, other), "mx.example.org")));
  const auto careless = server.Dial(loop);
  const auto context = TlsContext::Client(TlsContext::Verify::kNone, "").value();
  EXPECT_TRUE(Secure(loop, *careless, context, "other.example").ok());
  EXPECT_FALSE(careless->tls()->peer_verified);
}

TEST(Tls, ChoosesTheCertificateByServerName) {
  Loop loop;
  const TempDir dir;
  const auto first = Identity({"a.example.org"});
  auto second = Identity({"b.example.org", "*.wild.example"});
  TlsServer server(loop, {first, second});
  for (const char* name : {"b.example.org", "B.Example.org", "x.wild.example"}) {
    const auto client = server.Dial(loop);
    EXPECT_TRUE(Secure(loop, *client, Trusting(dir, second), name).ok()) << name;
  }
  const auto deeper = server.Dial(loop);
  EXPECT_FALSE(Secure(loop, *deeper, Trusting(dir, second), "x.y.wild.example").ok());
  const auto unnamed = server.Dial(loop);
  EXPECT_TRUE(Secure(loop, *unnamed, Trusting(dir, first), "").ok());
}

TEST(Tls, CarriesMegabytesThroughASmallBuffer) {
  Loop loop;
  TlsServer server(loop, {Identity({"mx.example.org"})});
  const auto client = server.Dial(loop);
  const auto context = TlsContext::Client(TlsContext::Verify::kNone, "").value();
  ASSERT_TRUE(Secure(loop, *client, context, "mx.example.org").ok());
  std::string sent;
  std::string got;
  for (int i = 0; i < 20; ++i) {
    const std::string part(100000, static_cast<char>('a' + i));
    sent += part;
    client->Append(part);
    ASSERT_TRUE(RunTask(loop, client->Flush(kLong)).ok());
    got += RunTask(loop, client->ReadExactly(part.size(), kLong)).value();
  }
  EXPECT_EQ(got, sent);
}

TEST(Tls, GarbageInsteadOfAHandshakeEndsTheSession) {
  Loop loop;
  TlsServer server(loop, {Identity({"mx.example.org"})});
  for (const std::string& garbage : {std::string("EHLO x\r\n"), std::string(100000, '\x16'),
                                     std::string("\x16\x03\x01\x00\x05hello", 10)}) {
    server.handshake = absl::OkStatus();
    const auto client = server.Dial(loop);
    client->Append(garbage);
    const auto ignored = RunTask(loop, client->Flush(kLong));
    client->ShutdownWrite();
    absl::Status status;
    while (status.ok()) {
      client->Consume(client->buffered().size());
      status = RunTask(loop, client->Fill(kLong));
    }
    EXPECT_TRUE(absl::IsUnavailable(server.handshake)) << server.handshake;
    EXPECT_EQ(server.sessions(), 0u);
  }
}

TEST(Tls, HandshakeEndsAtItsLimit) {
  Loop loop;
  TlsServer server(loop, {Identity({"mx.example.org"})});
  server.limit = milliseconds(20);
  const auto silent = server.Dial(loop);
  EXPECT_TRUE(absl::IsOutOfRange(RunTask(loop, silent->Fill(kLong))));
  EXPECT_TRUE(absl::IsDeadlineExceeded(server.handshake));
}

Task<void> CloseSoon(Connection* connection) {
  co_await Sleep(connection->loop(), milliseconds(5));
  connection->Close();
}

TEST(Tls, CloseEndsAHandshake) {
  Loop loop;
  auto listener = Listener::Bind(loop, {.name = "silent"}).value();
  const auto client =
      RunTask(loop, Connect(loop, "127.0.0.1", listener->port(), "", kLong)).value();
  const auto context = TlsContext::Client(TlsContext::Verify::kNone, "").value();
  loop.Spawn("close", CloseSoon(client.get()));
  EXPECT_TRUE(absl::IsUnavailable(Secure(loop, *client, context, "mx.example.org")));
}

// One blocking handshake and echo with OpenSSL alone; takes the session it resumes and gives the
// next one.
SSL_SESSION* EchoWithSession(SSL_CTX* context, uint16_t port, const char* name,
                             SSL_SESSION* session, bool* resumed) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  SSL* const ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  SSL_set_tlsext_host_name(ssl, name);
  if (session != nullptr) SSL_set_session(ssl, session);
  EXPECT_EQ(SSL_connect(ssl), 1);
  char echo[2] = {};
  EXPECT_EQ(SSL_write(ssl, "x", 1), 1);
  EXPECT_EQ(SSL_read(ssl, echo, 1), 1);  // with it comes the ticket of TLS 1.3
  *resumed = SSL_session_reused(ssl) == 1;
  SSL_SESSION* const next = SSL_get1_session(ssl);
  SSL_shutdown(ssl);
  SSL_free(ssl);
  close(fd);
  return next;
}

TEST(Tls, SessionsAreResumedByTicketForEveryCertificate) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* name : {"a.example.org", "b.example.org"}) {
      Loop loop;
      TlsServer server(loop, {Identity({"a.example.org"}), Identity({"b.example.org"})});
      bool first = true;
      bool second = false;
      std::thread peer([&, port = server.port()] {
        SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(context, version);
        SSL_SESSION* const session = EchoWithSession(context, port, name, nullptr, &first);
        SSL_SESSION_free(EchoWithSession(context, port, name, session, &second));
        SSL_SESSION_free(session);
        SSL_CTX_free(context);
        loop.Post([&loop] { loop.Stop(); });
      });
      loop.Run();
      peer.join();
      EXPECT_FALSE(first);
      EXPECT_TRUE(second) << name << " version " << version;
    }
  }
}

TEST(TlsContext, SaysWhatIsWrongWithPem) {
  const auto good = Identity({"mx.example.org"});
  const auto other = Identity({"mx.example.org"});
  EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Server({}).status()));
  for (const auto& bad :
       {TlsContext::Identity{"nonsense", good.key_pem, {}},
        TlsContext::Identity{good.chain_pem, "nonsense", {}},
        TlsContext::Identity{good.chain_pem, other.key_pem, {}},
        TlsContext::Identity{
            good.chain_pem + "-----BEGIN CERTIFICATE-----\nAAAA\n", good.key_pem, {}}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Server({bad}).status()));
  }
  EXPECT_TRUE(TlsContext::Server({{good.chain_pem + other.chain_pem, good.key_pem, {}}}).ok());
  EXPECT_FALSE(TlsContext::Client(TlsContext::Verify::kPeer, "/nonexistent").ok());
  EXPECT_FALSE(TlsContext::MakeSelfSigned({"a,DNS:evil"}, 1).ok());
  EXPECT_FALSE(TlsContext::MakeSelfSigned({}, 1).ok());
}

}  // namespace
}  // namespace posthorn::net
