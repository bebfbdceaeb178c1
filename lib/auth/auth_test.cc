#include <gtest/gtest.h>

#include "lib/auth/hmac.h"
#include "lib/auth/password_hash.h"
#include "lib/auth/sasl.h"
#include "lib/auth/scram.h"
#include "lib/base/strings.h"

namespace posthorn::auth {
namespace {

using HasResponse = SaslServer::HasResponse;

TEST(PasswordHash, MatchesOnlyItsPassword) {
  const std::string hash = HashPassword("correct horse").value();
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_EQ(VerifyPassword(hash, "correct horse"), PasswordMatch::kMatch);
  EXPECT_EQ(VerifyPassword(hash, "correct horse "), PasswordMatch::kMismatch);
  EXPECT_NE(hash, HashPassword("correct horse").value());
}

TEST(PasswordHash, SpellingsOfOnePasswordAreEqual) {
  // U+00E9 and e + U+0301.
  const std::string hash = HashPassword("caf\xc3\xa9").value();
  EXPECT_EQ(VerifyPassword(hash, "cafe\xcc\x81"), PasswordMatch::kMatch);
  const std::string latin1 = HashPassword("caf\xe9").value();
  EXPECT_EQ(VerifyPassword(latin1, "caf\xe9"), PasswordMatch::kMatch);
}

TEST(PasswordHash, RefusesWhatNobodyCanType) {
  EXPECT_FALSE(HashPassword("").ok());
  EXPECT_FALSE(HashPassword(std::string_view("a\0b", 3)).ok());
  EXPECT_FALSE(HashPassword(std::string(1025, 'x')).ok());
}

TEST(PasswordHash, KnowsForms) {
  EXPECT_EQ(VerifyPassword("{SHA}abc", "x"), PasswordMatch::kUnknownForm);
  EXPECT_EQ(VerifyPassword("$argon2id$v=19$m=1", "x"), PasswordMatch::kUnknownForm);
  EXPECT_TRUE(IsPasswordHash(HashPassword("x").value()));
  EXPECT_FALSE(IsPasswordHash("$argon2id$ is my password"));
  EXPECT_FALSE(IsPasswordHash("$argon2id$v=19$m=999999999,t=2,p=1$AAAAAAAAAAA$AAAAAAAA"));
}

// [RFC7677 3] the example exchange, with its fixed nonces.
TEST(Scram, VerifierOfTheRfcExample) {
  const std::string text =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  const auto verifier = ScramVerifier::Parse(text);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(verifier->ToString(), text);
  EXPECT_FALSE(ScramVerifier::Parse("SCRAM-SHA-256$0:AA==$AA==:AA=="));
  EXPECT_FALSE(ScramVerifier::Parse("SCRAM-SHA-256$4096"));
}

// The client's side, for tests.
struct ScramClient {
  std::string name, password, gs2 = "n,,", binding, nonce = "rOprNGfwEbeRWgbNEkqO";
  std::string bare() const { return base::StrCat("n=", name, ",r=", nonce); }
  std::string First() const { return base::StrCat(gs2, bare()); }
  // `salted` is made with the password of `verifier`'s owner by the test.
  std::string Final(std::string_view server_first, std::string_view client_key,
                    std::string_view stored_key) const {
    const std::string combined(server_first.substr(2, server_first.find(',') - 2));
    const std::string without =
        base::StrCat("c=", base::Base64(base::StrCat(gs2, binding)), ",r=", combined);
    const std::string text = base::StrCat(bare(), ",", server_first, ",", without);
    std::string proof = HmacSha256(stored_key, text);
    for (size_t i = 0; i < proof.size(); ++i)
      proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
    return base::StrCat(without, ",p=", base::Base64(proof));
  }
};

// A verifier whose client key is known, without running PBKDF2 here.
struct KnownVerifier {
  std::string client_key = std::string(32, 'k');
  ScramVerifier verifier{.iterations = 4096,
                         .salt = std::string(16, 's'),
                         .stored_key = Sha256(client_key),
                         .server_key = std::string(32, 'v')};
};

std::string ChallengeOf(SaslServer& server, const ScramVerifier& verifier) {
  return std::get<SendChallenge>(server.GiveVerifier(verifier)).bytes;
}

TEST(Scram, ProvesTheRightKeyOnly) {
  const KnownVerifier known;
  const ScramClient client{.name = "user=2Cname"};
  for (const bool right : {true, false}) {
    auto server = MakeSaslServer("scram-sha-256", "");
    const SaslStep need = server->Next(client.First(), HasResponse::kYes);
    EXPECT_EQ(std::get<NeedVerifier>(need).login, "user,name");
    const std::string challenge = ChallengeOf(*server, known.verifier);
    const std::string key = right ? known.client_key : std::string(32, 'x');
    const SaslStep last =
        server->Next(client.Final(challenge, key, known.verifier.stored_key), HasResponse::kYes);
    EXPECT_EQ(std::holds_alternative<Proved>(last), right);
    EXPECT_EQ(std::holds_alternative<Disproved>(last), !right);
  }
}

// [RFC5802 6] channel binding.
TEST(Scram, BindsToTheChannel) {
  const KnownVerifier known;
  for (const std::string_view seen : {"exporter", "of another connection"}) {
    const ScramClient client{.name = "u", .gs2 = "p=tls-exporter,,", .binding = std::string(seen)};
    auto server = MakeSaslServer("SCRAM-SHA-256-PLUS", "exporter");
    ASSERT_TRUE(
        std::holds_alternative<NeedVerifier>(server->Next(client.First(), HasResponse::kYes)));
    const std::string challenge = ChallengeOf(*server, known.verifier);
    const SaslStep last = server->Next(
        client.Final(challenge, known.client_key, known.verifier.stored_key), HasResponse::kYes);
    EXPECT_EQ(std::holds_alternative<Proved>(last), seen == "exporter");
  }
  EXPECT_EQ(MakeSaslServer("SCRAM-SHA-256-PLUS", ""), nullptr);
  auto server = MakeSaslServer("SCRAM-SHA-256", "exporter");
  EXPECT_TRUE(std::holds_alternative<Malformed>(server->Next("y,,n=u,r=abc", HasResponse::kYes)));
}

TEST(Scram, FakeVerifierIsStable) {
  EXPECT_EQ(ScramVerifier::Fake("s", "a").ToString(), ScramVerifier::Fake("s", "a").ToString());
  EXPECT_NE(ScramVerifier::Fake("s", "a").salt, ScramVerifier::Fake("s", "b").salt);
}

TEST(Scram, MalformedFirstMessages) {
  for (const char* message : {"", "n,,", "n,,n=,r=x", "n,,n=u", "n,,n=u,r=", "x,,n=u,r=x",
                              "n,a=b,n=u,r=x", "n,,n=a=zz,r=x", "p=tls-exporter,,n=u,r=x"}) {
    auto server = MakeSaslServer("SCRAM-SHA-256", "");
    EXPECT_TRUE(std::holds_alternative<Malformed>(server->Next(message, HasResponse::kYes)))
        << message;
  }
}

// [RFC4616 2]
TEST(SaslPlain, TakesNameAndPassword) {
  auto server = MakeSaslServer("plain", "");
  EXPECT_EQ(std::get<SendChallenge>(server->Next("", HasResponse::kNo)).bytes, "");
  const SaslStep step = server->Next(std::string_view("\0user\0pass", 10), HasResponse::kYes);
  EXPECT_EQ(std::get<CheckPassword>(step).login, "user");
  EXPECT_EQ(std::get<CheckPassword>(step).password, "pass");
}

TEST(SaslPlain, RefusesActingAsAnother) {
  auto server = MakeSaslServer("PLAIN", "");
  const std::string_view bad[] = {
      {"boss\0user\0pass", 14}, {"user\0pass", 9}, {"\0\0p", 3}, {"\0u\0", 3}, {"\0u\0p\0q", 6}};
  for (const std::string_view message : bad) {
    EXPECT_TRUE(std::holds_alternative<Malformed>(server->Next(message, HasResponse::kYes)));
  }
}

TEST(SaslLogin, AsksForNameThenPassword) {
  auto server = MakeSaslServer("LOGIN", "");
  EXPECT_EQ(std::get<SendChallenge>(server->Next("", HasResponse::kNo)).bytes, "Username:");
  EXPECT_EQ(std::get<SendChallenge>(server->Next("user", HasResponse::kYes)).bytes, "Password:");
  EXPECT_EQ(std::get<CheckPassword>(server->Next("pass", HasResponse::kYes)).login, "user");
  EXPECT_EQ(MakeSaslServer("CRAM-MD5", ""), nullptr);
}

}  // namespace
}  // namespace posthorn::auth
