#include "lib/cluster/queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/rpc/methods/queue.h"
#include "lib/testing/run_task.h"

namespace posthorn::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// One queue as the test wants it.
struct Fake {
  bool connected = true;
  absl::Status answer;
  int taken_from_call = 1000;  // whatever `answer` is
  int calls = 0;
};

class FakeClient final : public rpc::Client {
 public:
  explicit FakeClient(Fake& fake) : fake_(fake) {}
  std::unique_ptr<rpc::RawCall> Start(std::string_view, std::string_view, rpc::Flow,
                                      rpc::CallOptions) override {
    return nullptr;
  }
  net::Task<absl::Status> CallRaw(std::string_view, std::string_view, rpc::Flow, rpc::CallOptions,
                                  const google::protobuf::MessageLite&,
                                  google::protobuf::MessageLite&) override {
    co_return ++fake_.calls < fake_.taken_from_call ? fake_.answer : absl::OkStatus();
  }
  bool connected() const override { return fake_.connected; }

 private:
  Fake& fake_;
};

class QueuesTest : public ::testing::Test {
 protected:
  Queues& Connect(std::vector<std::string> targets) {
    Queues::Options options;
    options.targets = std::move(targets);
    options.patience = patience_;
    options.connect = [this](const std::string& target) {
      return std::make_unique<FakeClient>(fakes_[target]);
    };
    options.look_up = [this](const std::string& name) {
      const auto found = addresses_.find(name);
      return found != addresses_.end() ? found->second : std::vector<std::string>();
    };
    queues_ = Queues::Create(loop_, std::move(options));
    return *queues_;
  }
  absl::Status Enqueue() {
    return testing::RunTask(loop_, queues_->Call(rpc::queue::kQueueEnqueue, rpc::CallOptions(),
                                                 posthorn::queue::v1::EnqueueRequest()))
        .status();
  }
  std::vector<std::string> Targets() {
    std::vector<std::string> targets;
    for (const Queues::Replica& replica : queues_->All()) targets.push_back(replica.target);
    return targets;
  }

  net::Loop loop_;
  std::chrono::milliseconds patience_{60000};
  std::map<std::string, Fake> fakes_;
  std::map<std::string, std::vector<std::string>> addresses_;
  std::unique_ptr<Queues> queues_;
};

TEST_F(QueuesTest, SpreadsOverAll) {
  Connect({"a", "b", "c"});
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(Enqueue().ok());
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(fakes_[name].calls, 10);
}

TEST_F(QueuesTest, WhoIsDownIsPassedOverBeforeAnythingIsSent) {
  Connect({"a", "b"});
  fakes_["a"].connected = false;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Enqueue().ok());
  EXPECT_EQ(fakes_["a"].calls, 0);
  EXPECT_TRUE(queues_->connected());
  fakes_["b"].connected = false;
  EXPECT_FALSE(queues_->connected());
}

TEST_F(QueuesTest, AFailedCallIsNotRepeatedAndItsReplicaRests) {
  Connect({"a", "b"});
  fakes_["a"].answer = base::Unavailable("it opens its journal");
  int failed = 0;
  for (int i = 0; i < 20; ++i) failed += Enqueue().ok() ? 0 : 1;
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(fakes_["a"].calls, 1);
  EXPECT_EQ(fakes_["b"].calls, 19);
}

TEST_F(QueuesTest, WhatAQueueThatEndsDidNotTakeIsGivenToAnother) {
  Connect({"a", "b", "c"});
  fakes_["a"].answer = fakes_["b"].answer = base::Unavailable(kNotTaken);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Enqueue().ok());
  EXPECT_EQ(fakes_["a"].calls, 1) << "it rests";
  EXPECT_EQ(fakes_["b"].calls, 1);
  EXPECT_EQ(fakes_["c"].calls, 20);
}

// Which comes back itself just now.
TEST_F(QueuesTest, WhatAQueueDidNotTakeWaitsForAnotherToConnect) {
  Connect({"a", "b"});
  fakes_["a"].answer = base::Unavailable(kNotTaken);
  fakes_["b"].connected = false;
  EXPECT_TRUE(Enqueue().ok());
  EXPECT_EQ(fakes_["a"].calls, 1);
  EXPECT_EQ(fakes_["b"].calls, 1);
}

TEST_F(QueuesTest, WhatNobodyTakesWaitsForOneThatDoes) {
  Connect({"a", "b"});
  fakes_["a"].answer = fakes_["b"].answer = base::Unavailable(kNotTaken);
  fakes_["b"].taken_from_call = 3;
  EXPECT_TRUE(Enqueue().ok());
  EXPECT_EQ(fakes_["b"].calls, 3);
}

TEST_F(QueuesTest, WhenPatienceIsOverEachIsAskedOnce) {
  patience_ = std::chrono::milliseconds(0);
  Connect({"a", "b"});
  fakes_["a"].answer = fakes_["b"].answer = base::Unavailable(kNotTaken);
  EXPECT_TRUE(absl::IsUnavailable(Enqueue()));
  EXPECT_EQ(fakes_["a"].calls + fakes_["b"].calls, 2);
  Connect({"c"});
  fakes_["c"].answer = base::Unavailable(kNotTaken);
  EXPECT_TRUE(absl::IsUnavailable(Enqueue()));
  EXPECT_EQ(fakes_["c"].calls, 1);
}

// What a queue says of a message is no reason to leave it.
TEST_F(QueuesTest, ARefusalIsNoReasonToRest) {
  Connect({"a"});
  fakes_["a"].answer = base::Exhausted("full");
  EXPECT_TRUE(absl::IsResourceExhausted(Enqueue()));
  EXPECT_TRUE(absl::IsResourceExhausted(Enqueue()));
  EXPECT_EQ(fakes_["a"].calls, 2);
}

TEST_F(QueuesTest, WithNobodyUpSomebodyIsAskedAllTheSame) {
  Connect({"a"});
  fakes_["a"].connected = false;
  EXPECT_TRUE(Enqueue().ok());
}

TEST_F(QueuesTest, ANameStandsForAllItsAddresses) {
  addresses_["dns:///queue:7002"] = {"10.0.0.1:7002", "10.0.0.2:7002"};
  Connect({"dns:///queue:7002", "c"});
  EXPECT_THAT(Targets(), ElementsAre("dns:///queue:7002", "c"));
  while (Targets().size() != 3)
    testing::RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  EXPECT_THAT(Targets(), UnorderedElementsAre("10.0.0.1:7002", "10.0.0.2:7002", "c"));
}

// Not to be able to ask is not to hear that there is nobody.
TEST_F(QueuesTest, ANameThatCannotBeLookedUpStandsForWhatItStoodFor) {
  addresses_["dns:///one:7002"] = {"10.0.0.1:7002"};
  Connect({"dns:///one:7002", "dns:///two:7002"});
  while (Targets().front() != "10.0.0.1:7002")
    testing::RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  EXPECT_THAT(Targets(), UnorderedElementsAre("10.0.0.1:7002", "dns:///two:7002"));
}

}  // namespace
}  // namespace posthorn::cluster
