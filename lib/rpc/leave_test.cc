// A server that ends: who calls it turns away in time, and knows what was never sent.

#include <chrono>
#include <vector>

#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

using common::v1::Event;
using std::chrono::milliseconds;

constexpr milliseconds kLong{60000};
constexpr Method<Event, Event> kGate{"/posthorn.test.Test/Gate"};

class LeaveTest : public RpcFixture {
 protected:
  // Its method counts its calls, which end when the gate opens.
  void Start() {
    StartServer(true, [this](Server& server) {
      server.Handle<Event, Event>(kGate, {}, [this](const CallContext&, Event event) {
        return Pass(this, std::move(event));
      });
    });
  }
  static net::Task<absl::StatusOr<Event>> Pass(LeaveTest* test, Event event) {
    ++test->arrived_;
    test->news_.NotifyAll();
    while (!test->open_) co_await test->news_.Wait();
    co_return event;
  }
  static net::Task<void> Await(LeaveTest* test, const size_t* count, size_t wanted) {
    while (*count < wanted) co_await test->news_.Wait();
  }
  void Call(Client& client) {
    OnLoop([&] {
      loop().Spawn("test", [](LeaveTest* test, Client& to) -> net::Task<void> {
        const auto reply = co_await to.Call(kGate, "s", Flow::kHoldBack, {}, rpc::Event("x"));
        test->ended_.push_back(reply.status());
        ++test->ends_;
        test->news_.NotifyAll();
      }(this, client));
    });
  }
  void TearDown() override {
    Open();
    StopServer(kLong);
    OnLoop([] {});  // handlers have ended
  }
  void Open() {
    OnLoop([this] {
      open_ = true;
      news_.NotifyAll();
    });
  }
  static net::Task<void> OpenWhenAway(LeaveTest* test, const Client& client) {
    while (client.connected()) co_await net::Sleep(test->loop(), milliseconds(1));
    test->open_ = true;
    test->news_.NotifyAll();
  }
  static net::Task<void> LeaveWhenAllCame(LeaveTest* test, size_t calls) {
    co_await test->server().Leave(kLong);
    EXPECT_EQ(test->arrived_, calls) << "what was begun before came before the good-bye";
  }
  bool Connected(const Client& client) {
    bool connected = false;
    OnLoop([&] { connected = client.connected(); });
    return connected;
  }

  net::Signal news_{loop()};
  bool open_ = false;
  size_t arrived_ = 0;
  size_t ends_ = 0;
  std::vector<absl::Status> ended_;
};

TEST_F(LeaveTest, CallsThatWereBegunComeAndNoFurtherOnes) {
  Start();
  auto client = MakeClient();
  Call(*client);
  Run(Await(this, &arrived_, 1));
  Call(*client);  // held back until the first is answered
  Call(*client);
  EXPECT_TRUE(Connected(*client));
  OnLoop([&] { loop().Spawn("test", OpenWhenAway(this, *client)); });
  Run(LeaveWhenAllCame(this, 3));
  Run(Await(this, &ends_, 3));
  for (const absl::Status& status : ended_) EXPECT_EQ(status, absl::OkStatus());
  EXPECT_FALSE(Connected(*client));

  Call(*client);
  Run(Await(this, &ends_, 4));
  EXPECT_TRUE(WasNotSent(ended_.back())) << ended_.back();
  EXPECT_EQ(arrived_, 3U);
}

TEST_F(LeaveTest, TheNextServerIsCalledAgain) {
  Start();
  Open();
  auto client = MakeClient();
  Call(*client);
  Run(Await(this, &ends_, 1));
  Run(LeaveWhenAllCame(this, 1));
  Call(*client);  // waits a moment for it
  StopServer();
  Start();
  Run(Await(this, &ends_, 2));
  EXPECT_EQ(ended_.back(), absl::OkStatus());
  EXPECT_TRUE(Connected(*client));
}

TEST_F(LeaveTest, AStreamThatComesLaterIsToldAsWell) {
  Start();
  Open();
  Run(server().Leave(kLong));  // nobody is there
  auto client = MakeClient();
  Call(*client);
  Run(Await(this, &ends_, 1));
  EXPECT_EQ(ended_.back(), absl::OkStatus()) << "it is answered all the same";
  Run(server().Leave(kLong));
  EXPECT_FALSE(Connected(*client));
}

TEST_F(LeaveTest, WhatWasHeldBackWasNotSent) {
  Start();
  auto client = MakeClient();
  Call(*client);
  Run(Await(this, &arrived_, 1));
  Call(*client);
  StopServer();
  Run(Await(this, &ends_, 2));
  for (const absl::Status& status : ended_) EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_FALSE(WasNotSent(ended_[0])) << "the server had it";
  EXPECT_TRUE(WasNotSent(ended_[1]));
  Open();
}

TEST_F(LeaveTest, WhoNeverAnswersIsWaitedForUntilTheLimit) {
  Start();
  auto client = MakeClient();
  Call(*client);
  Run(Await(this, &arrived_, 1));
  Call(*client);  // held back, and so the client stays
  Run(server().Leave(milliseconds(20)));
  EXPECT_EQ(arrived_, 1U);
  Open();
  Run(Await(this, &ends_, 2));
  EXPECT_EQ(ended_.back(), absl::OkStatus());
}

}  // namespace
}  // namespace posthorn::rpc
