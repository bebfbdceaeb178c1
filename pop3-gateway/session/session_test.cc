#include "pop3-gateway/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"

namespace posthorn::pop3_gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct FakeStore {
  std::vector<std::string> bodies = {"Subject: one\r\n\r\nfirst\r\n.dot\r\nthird\r\n", "Subject: two\r\n\r\nx\r\n"};
  std::vector<uint32_t> removed;
  bool locked = false;
  absl::Status remove_status;
};

class FakeMaildrop : public Maildrop {
 public:
  explicit FakeMaildrop(FakeStore& store) : store_(store) {
    uid_validity_ = 77;
    for (size_t i = 0; i < store.bodies.size(); ++i)
      messages_.push_back({static_cast<uint32_t>(i + 11), store.bodies[i].size()});
    store_.locked = true;
  }
  ~FakeMaildrop() override { store_.locked = false; }
  net::Task<absl::Status> Read(uint32_t uid, Take take) override {
    for (const char& byte : store_.bodies[uid - 11])
      if (!co_await take(std::string_view(&byte, 1))) break;
    co_return absl::OkStatus();
  }
  net::Task<absl::Status> Remove(std::vector<uint32_t> uids) override {
    if (store_.remove_status.ok()) store_.removed = std::move(uids);
    co_return store_.remove_status;
  }

 private:
  FakeStore& store_;
};

class FakeBackend : public Backend {
 public:
  explicit FakeBackend(FakeStore& store) : store_(store) {}
  net::Task<login::Verdict> Login(login::Attempt attempt) override {
    login::Verdict verdict;
    verdict.outcome = login::Outcome::kFailure;
    if (attempt.name == "alice" && attempt.password == "two words")
      verdict = {login::Outcome::kSuccess, std::make_shared<const login::Identity>()};
    co_return verdict;
  }
  std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t, std::function<void()>) override { return nullptr; }
  net::Task<absl::StatusOr<std::unique_ptr<Maildrop>>> Open(std::string) override {
    if (store_.locked) co_return base::Exists("locked");
    co_return std::unique_ptr<Maildrop>(new FakeMaildrop(store_));
  }

 private:
  FakeStore& store_;
};

class Pop3SessionTest : public ::testing::TestWithParam<size_t> {
 protected:
  Pop3SessionTest() : drain_(loop_) {
    port_->config.set_protocol(config::v1::POP3);
    port_->config.set_tls(config::v1::STARTTLS);
    port_->tls = *net::TlsContext::Server({*net::TlsContext::MakeSelfSigned({"pop.test"}, 1)});
    rights_.plaintext_login = true;
  }
  std::string Talk(const std::string& input, const std::string& after_tls = "") {
    ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
    FakeBackend backend(store_);
    const auto settings = std::make_shared<config::v1::Settings>(config::Snapshot().Get<config::v1::Settings>());
    Surroundings around{backend, drain_, [&] { return settings; }, [this](std::string_view) { return rights_; },
                        "pop.test"};
    peer.Send(input);
    if (!after_tls.empty()) peer.SendAfterTls(after_tls);
    peer.HalfClose();
    ::posthorn::testing::RunTask(
        loop_, Pop3Session::Serve(std::make_shared<Pop3Session>(around, peer.TakeConnection(), port_)));
    return peer.received();
  }

  net::Loop loop_;
  net::Drain drain_;
  FakeStore store_;
  std::shared_ptr<gateway::Port> port_ = std::make_shared<gateway::Port>();
  gateway::NetworkRights rights_;
};

INSTANTIATE_TEST_SUITE_P(Chunks, Pop3SessionTest, ::testing::Values(1, 7, 0),
                         [](const auto& info) { return base::StrCat("Of", info.param); });

constexpr char kLogin[] = "USER alice\r\nPASS two words\r\n";

TEST_P(Pop3SessionTest, MessagesAreListedAndRetrieved) {  // [RFC1939 5]
  const std::string answer = Talk(base::StrCat(kLogin, "STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nRETR 1\r\nQUIT\r\n"));
  EXPECT_THAT(answer, HasSubstr("+OK Maildrop has 2 messages\r\n+OK 2 55\r\n"));
  EXPECT_THAT(answer, HasSubstr("1 36\r\n2 19\r\n.\r\n+OK 2 19\r\n"));
  EXPECT_THAT(answer, HasSubstr("1 77.11\r\n2 77.12\r\n.\r\n"));
  EXPECT_THAT(answer, HasSubstr("+OK Message follows\r\nSubject: one\r\n\r\nfirst\r\n..dot\r\nthird\r\n.\r\n+OK Bye\r\n"));
  EXPECT_THAT(store_.removed, IsEmpty());
}

TEST_P(Pop3SessionTest, TopCutsBehindTheLinesAsked) {  // [RFC1939 7]
  EXPECT_THAT(Talk(base::StrCat(kLogin, "TOP 1 1\r\n")), EndsWith("follows\r\nSubject: one\r\n\r\nfirst\r\n.\r\n"));
  EXPECT_THAT(Talk(base::StrCat(kLogin, "TOP 1 0\r\n")), EndsWith("follows\r\nSubject: one\r\n\r\n.\r\n"));
  EXPECT_THAT(Talk(base::StrCat(kLogin, "TOP 2 99\r\n")), EndsWith("follows\r\nSubject: two\r\n\r\nx\r\n.\r\n"));
}

TEST_P(Pop3SessionTest, OnlyQuitRemovesWhatWasMarked) {  // [RFC1939 6]
  Talk(base::StrCat(kLogin, "DELE 2\r\n"));
  EXPECT_THAT(store_.removed, IsEmpty());
  Talk(base::StrCat(kLogin, "DELE 1\r\nDELE 2\r\nRSET\r\nDELE 2\r\nRETR 2\r\nQUIT\r\n"));
  EXPECT_THAT(store_.removed, ElementsAre(12));
  store_.remove_status = base::Unavailable("away");
  EXPECT_THAT(Talk(base::StrCat(kLogin, "DELE 1\r\nQUIT\r\n")), HasSubstr("-ERR [SYS/TEMP]"));
}

TEST_P(Pop3SessionTest, AMaildropHasOneSession) {
  store_.locked = true;
  EXPECT_THAT(Talk(kLogin), HasSubstr("-ERR [IN-USE]"));
}

TEST_P(Pop3SessionTest, LoginFailuresSayWhichKind) {  // [RFC3206]
  EXPECT_THAT(Talk("USER alice\r\nPASS wrong\r\nSTAT\r\n"), HasSubstr("-ERR [AUTH]"));
  EXPECT_THAT(Talk("PASS x\r\n"), HasSubstr("-ERR USER comes first"));
  EXPECT_THAT(Talk(base::StrCat("AUTH PLAIN ", base::Base64(std::string("\0alice\0two words", 16)), "\r\nSTAT\r\n")),
              HasSubstr("+OK 2 55"));
  EXPECT_THAT(Talk("AUTH PLAIN\r\n*\r\nAUTH LOGIN\r\nYWxpY2U=\r\ndHdvIHdvcmRz\r\nSTAT\r\n"), HasSubstr("+OK 2 55"));
}

TEST_P(Pop3SessionTest, ClearTextPasswordsNeedPermission) {  // [RFC2595 4]
  rights_.plaintext_login = false;
  EXPECT_THAT(Talk("CAPA\r\n"), Not(HasSubstr("USER")));
  EXPECT_THAT(Talk(kLogin), HasSubstr("-ERR Encryption required"));
  EXPECT_THAT(Talk("STLS\r\n", base::StrCat(kLogin, "STAT\r\n")), HasSubstr("+OK 2 55"));
}

TEST_P(Pop3SessionTest, BadInputIsAnsweredAndBounded) {
  EXPECT_THAT(Talk(base::StrCat(std::string(100000, 'x'), "\r\nCAPA\r\n")), HasSubstr("-ERR Line too long\r\n+OK Cap"));
  EXPECT_THAT(Talk(base::StrCat(kLogin, "RETR\r\nRETR 0\r\nRETR 9\r\nDELE x\r\nTOP 1\r\nLIST 1 2\r\n")),
              Not(HasSubstr("follows")));
  std::string noise;
  for (int i = 0; i < 50; ++i) noise += "\x01\x02\r\n";
  EXPECT_THAT(Talk(noise), HasSubstr("Too many errors"));
}

TEST_P(Pop3SessionTest, AStopLeavesTheMaildropAlone) {
  drain_.Begin();
  EXPECT_THAT(Talk(base::StrCat(kLogin, "DELE 1\r\n")), HasSubstr("-ERR [SYS/TEMP] Shutting down"));
  EXPECT_THAT(store_.removed, IsEmpty());
}

}  // namespace
}  // namespace posthorn::pop3_gateway
