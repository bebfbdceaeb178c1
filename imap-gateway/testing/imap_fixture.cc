#include "imap-gateway/testing/imap_fixture.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

using std::chrono::milliseconds;

struct FakeGuard : login::Gate::Guard {
  FakeGuard(FakeGate& g, uint64_t i) : gate(g), id(i) {}
  ~FakeGuard() override { gate.ends_.erase(id); }
  FakeGate& gate;
  uint64_t id;
};

net::Task<login::Verdict> FakeGate::Check(login::Attempt attempt) {
  ++checks;
  login::Verdict verdict;
  verdict.outcome = login::Outcome::kFailure;
  if (attempt.name != "ann" || attempt.password != "secret") co_return verdict;
  verdict.outcome = outcome;
  if (outcome != login::Outcome::kSuccess) co_return verdict;
  auto identity = std::make_shared<login::Identity>();
  identity->ticket = "T7";
  identity->account = 7;
  identity->address = "ann@example.org";
  verdict.identity = identity;
  co_return verdict;
}

std::unique_ptr<login::Gate::Guard> FakeGate::OnEnd(uint64_t, std::function<void()> end) {
  ends_[++last_] = std::move(end);
  return std::make_unique<FakeGuard>(*this, last_);
}

void FakeGate::EndAll() {
  auto ends = ends_;
  for (auto& [id, end] : ends) end();
}

bool LineMatches(std::string_view pattern, std::string_view line) {
  const size_t star = pattern.find('*', pattern.starts_with("* ") ? 1 : 0);
  if (star == std::string_view::npos) return pattern == line;
  if (!line.starts_with(pattern.substr(0, star))) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t at = star; at <= line.size(); ++at) {
    // A star behind the first blank is always a wildcard.
    const std::string_view tail = line.substr(at);
    if (rest.find('*') == std::string_view::npos
            ? tail == rest
            : LineMatches(base::StrCat("\x01", rest), base::StrCat("\x01", tail)))
      return true;
  }
  return false;
}

ImapFixture::ImapFixture(size_t chunk) : chunk_(chunk) {
  sync = SyncClient::Create(loop, store,
                            {.linger = milliseconds(60000), .first_retry = milliseconds(1)});
  gateway = std::make_unique<Gateway>(Gateway{loop, drain, store, *sync, gate});
  other_sync = SyncClient::Create(loop, store, {.first_retry = milliseconds(1)});
  other_gateway = std::make_unique<Gateway>(Gateway{loop, drain, store, *other_sync, gate});
  config.plaintext_login = ImapConfig::PlaintextLogin::kAlways;
  ApplyConfig();
}

ImapFixture::~ImapFixture() {
  for (auto& [number, client] : clients_) client->peer.Reset();
  Settle();
  sync->Stop();
  other_sync->Stop();
  Settle();
}

net::Task<void> ImapFixture::ServeTask(TestClient* client, Gateway* serving) {
  co_await Session::Serve(*serving, port, client->peer.TakeConnection());
  client->ended = true;
}

TestClient& ImapFixture::Connect(int number) {
  auto& client = clients_[number];
  if (!client) {
    client = std::make_unique<TestClient>(loop, chunk_);
    loop.Spawn("test.session",
               ServeTask(client.get(), number < 5 ? gateway.get() : other_gateway.get()));
  }
  return *client;
}

void ImapFixture::LogIn(int number) {
  Connect(number);
  EXPECT_TRUE(NextLine(number).starts_with("* OK [CAPABILITY "));
  EXPECT_NE(Do(number, "LOGIN ann secret").find(" OK "), std::string::npos);
}

void ImapFixture::Settle() {
  testing::RunTask(loop, [](net::Loop* l) -> net::Task<void> {
    for (int i = 0; i < 20; ++i) co_await net::Sleep(*l, milliseconds(0));
  }(&loop));
}

net::Task<std::string> ImapFixture::NextLineTask(int number) {
  TestClient& client = Connect(number);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (true) {
    client.unread += client.peer.TakeReceived();
    const size_t end = client.unread.find("\r\n");
    if (end != std::string::npos) {
      std::string line = client.unread.substr(0, end);
      client.unread.erase(0, end + 2);
      co_return line;
    }
    if (client.ended) co_return "<closed>";
    if (std::chrono::steady_clock::now() > deadline) co_return "<nothing>";
    co_await net::Sleep(loop, milliseconds(0));
  }
}

std::string ImapFixture::NextLine(int number) {
  return testing::RunTask(loop, NextLineTask(number));
}

net::Task<std::string> ImapFixture::DoTask(int number, std::string command) {
  const std::string tag = base::StrCat("t", ++last_tag_);
  Connect(number).peer.Send(base::StrCat(tag, " ", command, "\r\n"));
  std::string all;
  while (true) {
    const std::string line = co_await NextLineTask(number);
    all += line + "\n";
    if (line.starts_with(tag + " ") || line == "<closed>" || line == "<nothing>") co_return all;
  }
}

std::string ImapFixture::Do(int number, std::string_view command) {
  return testing::RunTask(loop, DoTask(number, std::string(command)));
}

void ImapFixture::Chat(std::string_view transcript) {
  bool skip = false;
  for (std::string_view text : base::Split(transcript, '\n')) {
    const std::string_view line = base::Trim(text);
    if (line.empty()) continue;
    const int number = line[1] - '0';
    const std::string_view rest = line.size() > 4 ? line.substr(4) : std::string_view();
    if (line[0] == 'L') {
      LogIn(number);
    } else if (line[0] == 'C') {
      Connect(number).peer.Send(base::StrCat(rest, "\r\n"));
    } else if (rest == "...") {
      skip = true;
    } else {
      std::string got = NextLine(number);
      while (skip && !LineMatches(rest, got) && got[0] != '<') got = NextLine(number);
      skip = false;
      ASSERT_PRED2(LineMatches, rest, got) << "in line: " << line;
    }
  }
}

}  // namespace posthorn::imap_gateway
