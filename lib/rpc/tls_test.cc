// Connections over TCP with certificates on both sides: who gets in, and as whom.

#include <ctime>

#include "lib/rpc/tls_fixture.h"

namespace posthorn::rpc {
namespace {

class TlsTest : public TlsFixture {};

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

TEST_F(TlsTest, ExpiredServersAreNotBelieved) {
  const int64_t now = std::time(nullptr);
  PutFiles("store-service", IdentityOf("store-service", {now - 7200, now - 3600}),
           authority_.certificate_pem);
  StartTlsServer(Load("store-service"));
  auto client = ClientAs(Make("smtp-gateway"));
  EXPECT_EQ(Outcome(*client), Code::kUnavailable);
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

}  // namespace
}  // namespace posthorn::rpc
