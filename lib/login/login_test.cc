#include "lib/login/login.h"

#include <gtest/gtest.h>

#include <deque>

#include "lib/base/strings.h"
#include "lib/login/cache.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::login {
namespace {

namespace v1 = ::posthorn::store::v1;
using std::chrono::milliseconds;

// A store that knows one password and whose Watch stream the test drives.
class FakeStore : public rpc::Client {
 public:
  explicit FakeStore(net::Loop& loop) : changed_(loop) {}

  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view, rpc::Flow,
                                      rpc::CallOptions) override {
    if (path == rpc::store::kDirectoryWatch.path) return std::make_unique<WatchCall>(*this);
    return std::make_unique<AuthenticateCall>(*this);
  }
  net::Task<absl::Status> CallRaw(std::string_view, std::string_view, rpc::Flow, rpc::CallOptions,
                                  const google::protobuf::MessageLite&,
                                  google::protobuf::MessageLite&) override {
    co_return absl::UnimplementedError("not called");
  }
  bool connected() const override { return true; }

  void Send(v1::DirectoryChange change) {
    changes.push_back(std::move(change));
    changed_.NotifyAll();
  }
  void BreakWatch() {
    broken = true;
    changed_.NotifyAll();
  }

  std::string password = "secret";
  int asked = 0;
  int watches = 0;
  bool broken = false;
  std::deque<v1::DirectoryChange> changes;

 private:
  struct WatchCall : rpc::RawCall {
    explicit WatchCall(FakeStore& s) : store(s) {}
    net::Task<absl::Status> Write(const google::protobuf::MessageLite&) override {
      ++store.watches;
      store.broken = false;
      co_return absl::OkStatus();
    }
    void WritesDone() override {}
    net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
      while (store.changes.empty() && !store.broken) co_await store.changed_.Wait();
      if (store.broken) co_return absl::UnavailableError("broken");
      static_cast<v1::DirectoryChange&>(into) = store.changes.front();
      store.changes.pop_front();
      co_return true;
    }
    FakeStore& store;
  };
  struct AuthenticateCall : rpc::RawCall {
    explicit AuthenticateCall(FakeStore& s) : store(s) {}
    net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
      response = static_cast<const v1::AuthenticateRequest&>(message).response();
      co_return absl::OkStatus();
    }
    void WritesDone() override {}
    net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
      ++store.asked;
      auto& reply = static_cast<v1::AuthenticateReply&>(into);
      const auto plain = ParsePlain(response);
      const bool good = plain && plain->password == store.password;
      reply.set_outcome(good ? v1::AuthenticateReply::SUCCESS : v1::AuthenticateReply::FAILURE);
      reply.set_account(7);
      reply.set_ticket("T");
      reply.set_address("ann@example.org");
      co_return true;
    }
    FakeStore& store;
    std::string response;
  };

  net::Signal changed_;
};

// Runs `body` on a loop with a Gate and its fake.
struct Fixture {
  net::Loop loop;
  FakeStore store{loop};
  std::unique_ptr<Gate> gate =
      Gate::Create(loop, store, {.protocol = "imap", .tarpit = milliseconds(1)});

  net::Task<Outcome> Try(std::string password) {
    Verdict verdict = co_await gate->Check({.name = "ann", .password = password});
    co_return verdict.outcome;
  }
  net::Task<void> Heartbeat() {
    store.Send({});
    while (!gate->watching()) co_await net::Sleep(loop, milliseconds(1));
  }
  void Run(net::Task<void> (*body)(Fixture&)) {
    loop.Spawn("test", Wrap(body));
    loop.Run();
  }
  net::Task<void> Wrap(net::Task<void> (*body)(Fixture&)) {
    co_await body(*this);
    loop.Stop();
  }
};

TEST(Gate, AsksOnceForTwoLoginsWhileTheDirectoryIsWatched) {
  Fixture f;
  f.Run([](Fixture& x) -> net::Task<void> {
    co_await x.Heartbeat();
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    EXPECT_EQ(x.store.asked, 1);
    EXPECT_EQ(co_await x.Try("wrong"), Outcome::kFailure);
    EXPECT_EQ(x.store.asked, 2);
  });
}

TEST(Gate, CachesNothingBeforeTheFirstHeartbeat) {
  Fixture f;
  f.Run([](Fixture& x) -> net::Task<void> {
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    EXPECT_EQ(x.store.asked, 2);
  });
}

TEST(Gate, ForgetsAnAccountThatChanged) {
  Fixture f;
  f.Run([](Fixture& x) -> net::Task<void> {
    co_await x.Heartbeat();
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    v1::DirectoryChange change;
    change.set_account(7);
    x.store.Send(change);
    while (!x.store.changes.empty()) co_await net::Sleep(x.loop, milliseconds(1));
    x.store.password = "new";
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kFailure);
  });
}

TEST(Gate, ForgetsEverythingWhenTheWatchBreaks) {
  Fixture f;
  f.Run([](Fixture& x) -> net::Task<void> {
    co_await x.Heartbeat();
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    x.store.BreakWatch();
    while (x.store.watches < 2) co_await net::Sleep(x.loop, milliseconds(1));
    EXPECT_FALSE(x.gate->watching());
    co_await x.Heartbeat();
    EXPECT_EQ(co_await x.Try("secret"), Outcome::kSuccess);
    EXPECT_EQ(x.store.asked, 2);
  });
}

TEST(Gate, EndsTheSessionsOfADisabledAccountOnly) {
  Fixture f;
  f.Run([](Fixture& x) -> net::Task<void> {
    co_await x.Heartbeat();
    int ended = 0;
    int others = 0;
    auto mine = x.gate->OnEnd(7, [&ended] { ++ended; });
    auto other = x.gate->OnEnd(8, [&others] { ++others; });
    auto left = x.gate->OnEnd(7, [&others] { ++others; });
    left.reset();
    v1::DirectoryChange change;
    change.set_account(7);
    change.set_end_sessions(true);
    x.store.Send(change);
    while (ended == 0) co_await net::Sleep(x.loop, milliseconds(1));
    EXPECT_EQ(ended, 1);
    EXPECT_EQ(others, 0);
  });
}

TEST(Cache, KeepsNameAndPasswordApart) {
  Cache cache(10);
  EXPECT_NE(cache.KeyOf("ab", "c"), cache.KeyOf("a", "bc"));
  EXPECT_EQ(cache.KeyOf("a", "bc"), cache.KeyOf("a", "bc"));
}

TEST(Cache, DropsByDomainAndStaysBounded) {
  Cache cache(2);
  auto identity = std::make_shared<Identity>();
  identity->address = "ann@Example.org";
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i)
    cache.Insert(cache.KeyOf(base::StrCat("n", i), "p"), identity, now + milliseconds(1000));
  EXPECT_EQ(cache.size(), 2U);
  cache.DropDomain("example.net");
  EXPECT_EQ(cache.size(), 2U);
  cache.DropDomain("example.org");
  EXPECT_EQ(cache.size(), 0U);
}

TEST(Cache, ForgetsAfterItsTime) {
  Cache cache(2);
  const auto now = std::chrono::steady_clock::now();
  cache.Insert(cache.KeyOf("n", "p"), std::make_shared<Identity>(), now + milliseconds(10));
  EXPECT_NE(cache.Find(cache.KeyOf("n", "p"), now), nullptr);
  EXPECT_EQ(cache.Find(cache.KeyOf("n", "p"), now + milliseconds(10)), nullptr);
}

TEST(ParsePlain, TakesNameAndPasswordAndRefusesTheRest) {
  using std::string_literals::operator""s;
  ASSERT_TRUE(ParsePlain("\0ann\0pw"s));
  EXPECT_EQ(ParsePlain("\0ann\0pw"s)->password, "pw");
  EXPECT_TRUE(ParsePlain("ann\0ann\0pw"s));
  EXPECT_FALSE(ParsePlain("bob\0ann\0pw"s));
  EXPECT_FALSE(ParsePlain("\0ann\0"s));
  EXPECT_FALSE(ParsePlain("\0\0pw"s));
  EXPECT_FALSE(ParsePlain("\0ann"s));
  EXPECT_FALSE(ParsePlain("\0ann\0pw\0x"s));
  EXPECT_FALSE(ParsePlain(""));
}

}  // namespace
}  // namespace posthorn::login
