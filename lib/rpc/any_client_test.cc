#include "lib/rpc/any_client.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lib/net/loop.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::rpc {
namespace {

// A replica whose answers the test decides.
struct Replica {
  bool connected = true;
  absl::Status answer;
  int calls = 0;
  net::Signal* silent = nullptr;  // reads wait here
  bool reading = false;
  bool gone = false;
};

class FakeCall final : public RawCall {
 public:
  explicit FakeCall(Replica* replica) : replica_(replica) {}
  net::Task<absl::Status> Write(const google::protobuf::MessageLite&) override {
    co_return absl::OkStatus();
  }
  void WritesDone() override {}
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite&) override {
    return Answer(replica_);
  }

 private:
  // Outlives the call, as reads do.
  static net::Task<absl::StatusOr<bool>> Answer(Replica* replica) {
    replica->reading = true;
    if (replica->silent != nullptr) co_await replica->silent->Wait();
    if (!replica->answer.ok()) co_return replica->answer;
    co_return false;
  }
  Replica* replica_;
};

class FakeClient final : public Client {
 public:
  explicit FakeClient(Replica* replica) : replica_(replica) {}
  ~FakeClient() override { replica_->gone = true; }
  std::unique_ptr<RawCall> Start(std::string_view, std::string_view, Flow, CallOptions) override {
    ++replica_->calls;
    return std::make_unique<FakeCall>(replica_);
  }
  net::Task<absl::Status> CallRaw(std::string_view, std::string_view, Flow, CallOptions,
                                  const google::protobuf::MessageLite&,
                                  google::protobuf::MessageLite&) override {
    ++replica_->calls;
    return Answer(replica_);
  }
  bool connected() const override { return replica_->connected; }

 private:
  // Outlives the client, as calls do.
  static net::Task<absl::Status> Answer(Replica* replica) {
    replica->reading = true;
    if (replica->silent != nullptr) co_await replica->silent->Wait();
    co_return replica->answer;
  }
  Replica* replica_;
};

class AnyClientTest : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<std::unique_ptr<Client>> clients;
    for (Replica& replica : replicas_) clients.push_back(std::make_unique<FakeClient>(&replica));
    client_ = AnyOf(std::move(clients));
  }
  static net::Task<void> CallNow(AnyClientTest* test, absl::Status* status) {
    common::v1::Event request, reply;
    *status = co_await test->client_->CallRaw("/x", "", Flow::kFree, {}, request, reply);
    test->loop_.Stop();
  }
  static net::Task<void> ReadNow(AnyClientTest* test, RawCall* call) {
    common::v1::Event reply;
    (void)co_await call->Read(reply);
    test->loop_.Stop();
  }
  static net::Task<void> GiveUp(AnyClientTest* test, std::unique_ptr<RawCall>* call,
                                Replica* replica) {
    while (!replica->reading) co_await net::Sleep(test->loop_, std::chrono::milliseconds(1));
    call->reset();
    replica->answer = absl::CancelledError("given up");
    replica->silent->NotifyAll();
  }
  absl::Status Call() {
    absl::Status status;
    loop_.Spawn("call", CallNow(this, &status));
    loop_.Run();
    return status;
  }
  void Read(RawCall& call) {
    loop_.Spawn("read", ReadNow(this, &call));
    loop_.Run();
  }
  // The index of the replica that calls go to.
  size_t Used() {
    const int before = replicas_[0].calls;
    (void)Call();
    return replicas_[0].calls > before ? 0 : 1;
  }

  net::Loop loop_;
  Replica replicas_[2];
  std::unique_ptr<Client> client_;
};

TEST_F(AnyClientTest, StaysWithOneWhileItAnswers) {
  const size_t used = Used();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Used(), used);
  replicas_[used].answer = absl::NotFoundError("an answer too");
  EXPECT_EQ(Used(), used);
  EXPECT_EQ(Used(), used);
}

TEST_F(AnyClientTest, GoesToTheNextAfterAFailureThatIsToldOnce) {
  const size_t used = Used();
  replicas_[used].answer = absl::UnavailableError("away");
  EXPECT_EQ(Call().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(Used(), 1 - used);
  // And stays there when the first one is back.
  replicas_[used].answer = absl::OkStatus();
  EXPECT_EQ(Used(), 1 - used);
}

TEST_F(AnyClientTest, AStreamThatIsGivenUpWhileItIsReadGoesOnElsewhere) {
  const size_t used = Used();
  net::Signal silent(loop_);
  replicas_[used].silent = &silent;
  auto call = client_->Start("/x", "", Flow::kFree, {});
  loop_.Spawn("read", ReadNow(this, call.get()));
  loop_.Spawn("give up", GiveUp(this, &call, &replicas_[used]));
  loop_.Run();
  replicas_[used].answer = absl::OkStatus();
  EXPECT_EQ(Used(), 1 - used);
}

TEST_F(AnyClientTest, LeavesOutWhatIsKnownToBeAway) {
  const size_t used = Used();
  replicas_[used].connected = false;
  EXPECT_EQ(Used(), 1 - used);
  replicas_[1 - used].connected = false;
  EXPECT_FALSE(client_->connected());
  EXPECT_TRUE(Call().ok());
}

// The connection of a frozen process stands; that of the other is made by the call that needs it.
TEST_F(AnyClientTest, DoesNotGoBackToWhoFailedWhileTheOtherConnects) {
  const size_t used = Used();
  replicas_[used].answer = absl::DeadlineExceededError("frozen");
  (void)Call();
  replicas_[1 - used].connected = false;
  EXPECT_EQ(Used(), 1 - used);
  // That one is away indeed: there is nobody else.
  replicas_[1 - used].answer = absl::UnavailableError("refused");
  (void)Call();
  EXPECT_EQ(Used(), used);
}

TEST_F(AnyClientTest, AStreamThatBreaksOrIsGivenUpGoesOnElsewhere) {
  size_t used = Used();
  replicas_[used].answer = absl::UnavailableError("away");
  auto broken = client_->Start("/x", "", Flow::kFree, {});
  Read(*broken);
  broken.reset();
  EXPECT_EQ(Used(), 1 - used);
  replicas_[used].answer = absl::OkStatus();
  used = 1 - used;
  auto ended = client_->Start("/x", "", Flow::kFree, {});
  Read(*ended);
  ended.reset();
  EXPECT_EQ(Used(), used);
  client_->Start("/x", "", Flow::kFree, {}).reset();
  EXPECT_EQ(Used(), 1 - used);
}

// A connection that outlived its loop would be served by a thread with nobody to tell.
TEST_F(AnyClientTest, WhoWaitsForACallKeepsNoConnection) {
  net::Signal never(loop_);
  for (Replica& replica : replicas_) {
    replica.silent = &never;
    replica.answer = absl::UnavailableError("closed");
  }
  absl::Status status;
  loop_.Spawn("test", CallNow(this, &status));
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
  EXPECT_TRUE(std::ranges::any_of(replicas_, [](const Replica& each) { return each.reading; }));
  client_.reset();
  for (const Replica& replica : replicas_) EXPECT_TRUE(replica.gone);
  never.NotifyAll();
  loop_.Run();
  EXPECT_TRUE(absl::IsUnavailable(status));
}

}  // namespace
}  // namespace posthorn::rpc
