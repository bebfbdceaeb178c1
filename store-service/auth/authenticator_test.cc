#include "store-service/auth/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/auth/password_hash.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::store_service {
namespace {

using posthorn::testing::RunTask;
namespace config = posthorn::config::v1;

class AuthenticatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *Configuration::Open(loop_, file::Real(),
                                  {.directory = directory_.path(), .hash_threads = 1});
    signer_ = std::make_unique<TicketSigner>(store_->box().Derive("ticket"), store_->model());
    authenticator_ = std::make_unique<Authenticator>(*store_, *signer_);
    config::Domain domain;
    domain.add_alias_names("example.net");
    Commit("posthorn.config.v1.Domain", "example.org", domain);
    PutAccount("secret", true);
  }
  void Commit(std::string kind, std::string name, const google::protobuf::Message& message,
              bool remove = false) {
    auto done = RunTask(loop_, store_->Commit({.expected_head = store_->head(),
                                               .changes = {{.kind = std::move(kind),
                                                            .name = std::move(name),
                                                            .data = message.SerializeAsString(),
                                                            .remove = remove}},
                                               .author = "",
                                               .reason = ""}));
    ASSERT_TRUE(done.ok()) << done.status();
  }
  void PutAccount(std::string password, bool enabled) {
    config::Account account;
    account.set_password(std::move(password));
    account.set_enabled(enabled);
    Commit("posthorn.config.v1.Account", "alice@example.org", account);
  }
  Login Check(std::string login, std::string password) {
    return RunTask(loop_,
                   authenticator_->CheckPassword(std::move(login), std::move(password), "imap"));
  }

  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  std::unique_ptr<Configuration> store_;
  std::unique_ptr<TicketSigner> signer_;
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(AuthenticatorTest, AcceptsNameAndPasswordInEverySpelling) {
  for (const char* name : {"alice@example.org", "ALICE@Example.ORG", "alice@example.net"}) {
    const Login login = Check(name, "secret");
    ASSERT_EQ(login.outcome, LoginOutcome::kSuccess) << name;
    EXPECT_EQ(login.account, 1U);
    EXPECT_EQ(login.address, "alice@example.org");
    EXPECT_THAT(login.may_send_as,
                ::testing::ElementsAre("alice@example.org", "alice@example.net"));
    EXPECT_EQ(login.version, store_->model().VersionOf(1));
    const auto facts = signer_->Verify(login.ticket);
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(facts->account, 1U);
    EXPECT_EQ(facts->protocol, "imap");
  }
}

TEST_F(AuthenticatorTest, RefusesEverythingElseAlike) {
  for (const char* name : {"alice", "bob@example.org", "alice@elsewhere.test", "@", ""}) {
    EXPECT_EQ(Check(name, "secret").outcome, LoginOutcome::kFailure) << name;
  }
  EXPECT_EQ(Check("alice@example.org", "Secret").outcome, LoginOutcome::kFailure);
  EXPECT_EQ(Check("alice@example.org", "").outcome, LoginOutcome::kFailure);
}

TEST_F(AuthenticatorTest, UnknownNamesCostWhatWrongPasswordsCost) {
  const auto best = [this](const char* name) {
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < 3; ++i) {
      const int64_t begin = base::MonotonicMicros();
      Check(name, "wrong");
      shortest = std::min(shortest, base::MonotonicMicros() - begin);
    }
    return shortest;
  };
  const int64_t known = best("alice@example.org");
  const int64_t unknown = best("nobody@example.org");
  EXPECT_GT(unknown, known / 3);
  EXPECT_LT(unknown, known * 3);
}

TEST_F(AuthenticatorTest, DisabledIsToldOnlyWithTheRightPassword) {
  PutAccount("", false);
  EXPECT_EQ(Check("alice@example.org", "secret").outcome, LoginOutcome::kRefused);
  EXPECT_EQ(Check("alice@example.org", "wrong").outcome, LoginOutcome::kFailure);
}

TEST_F(AuthenticatorTest, TicketsEndWithPasswordDisableAndRemoval) {
  const std::string first = Check("alice@example.org", "secret").ticket;
  ASSERT_TRUE(signer_->Verify(first).ok());
  PutAccount("", true);
  EXPECT_TRUE(signer_->Verify(first).ok());
  PutAccount("other", true);
  EXPECT_EQ(signer_->Verify(first).status().code(), absl::StatusCode::kPermissionDenied);
  const std::string second = Check("alice@example.org", "other").ticket;
  ASSERT_TRUE(signer_->Verify(second).ok());
  config::Domain off;
  off.set_enabled(false);
  Commit("posthorn.config.v1.Domain", "example.org", off);
  EXPECT_EQ(signer_->Verify(second).status().code(), absl::StatusCode::kPermissionDenied);
  off.set_enabled(true);
  Commit("posthorn.config.v1.Domain", "example.org", off);
  EXPECT_FALSE(signer_->Verify(second).ok());
  const std::string third = Check("alice@example.org", "other").ticket;
  ASSERT_TRUE(signer_->Verify(third).ok());
  Commit("posthorn.config.v1.Account", "alice@example.org", off, true);
  EXPECT_EQ(signer_->Verify(third).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(AuthenticatorTest, ForgedTicketsAreRefused) {
  const std::string ticket = Check("alice@example.org", "secret").ticket;
  for (size_t i = 0; i < ticket.size(); ++i) {
    std::string forged = ticket;
    forged[i] = static_cast<char>(forged[i] ^ 1);
    EXPECT_FALSE(signer_->Verify(forged).ok()) << i;
    EXPECT_FALSE(signer_->Verify(ticket.substr(0, i)).ok()) << i;
  }
  const TicketSigner other(std::string(32, 'x'), store_->model());
  EXPECT_FALSE(other.Verify(ticket).ok());
}

TEST_F(AuthenticatorTest, ScramVerifierIsKeptBesideTheHash) {
  const auto verifier = RunTask(loop_, authenticator_->VerifierOf("alice@example.net"));
  ASSERT_TRUE(verifier);
  const auto stranger = RunTask(loop_, authenticator_->VerifierOf("nobody@example.org"));
  const auto again = RunTask(loop_, authenticator_->VerifierOf("NOBODY@example.org"));
  EXPECT_EQ(stranger->salt, again->salt);
  EXPECT_EQ(stranger->salt.size(), verifier->salt.size());
  EXPECT_EQ(authenticator_->Accept("alice@example.org", "imap").outcome, LoginOutcome::kSuccess);
}

TEST_F(AuthenticatorTest, HashesMadeElsewhereGetAVerifierAtFirstLogin) {
  PutAccount(auth::HashPassword("imported").value(), true);
  const CredentialOwner owner = OwnerOf("posthorn.config.v1.Account", 1, "", "password");
  EXPECT_EQ(RunTask(loop_, store_->FindCredential(owner)).value()->scram, "");
  EXPECT_EQ(Check("alice@example.org", "imported").outcome, LoginOutcome::kSuccess);
  // The writer's queue is in order: what was asked for before this is done.
  ASSERT_TRUE(
      RunTask(loop_, store_->Write([](sql::Connection&) { return absl::OkStatus(); })).ok());
  EXPECT_NE(RunTask(loop_, store_->FindCredential(owner)).value()->scram, "");
}

TEST_F(AuthenticatorTest, AdministratorsAreCheckedByName) {
  config::Administrator root;
  root.set_password("hunter two");
  Commit("posthorn.config.v1.Administrator", "root", root);
  EXPECT_TRUE(*RunTask(loop_, authenticator_->CheckAdministrator("root", "hunter two")));
  EXPECT_FALSE(*RunTask(loop_, authenticator_->CheckAdministrator("root", "hunter")));
  EXPECT_FALSE(*RunTask(loop_, authenticator_->CheckAdministrator("toor", "hunter two")));
}

TEST_F(AuthenticatorTest, IssuesTicketsByAddress) {
  EXPECT_TRUE(
      signer_->Verify(authenticator_->IssueTicket("alice@example.org", "admin")->ticket).ok());
  EXPECT_EQ(authenticator_->IssueTicket("bob@example.org", "admin").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace posthorn::store_service
