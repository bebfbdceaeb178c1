#include "lib/cluster/stores.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"

namespace posthorn::cluster {
namespace {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

// Replicas behind unix sockets that say what the test wants them to say. Resolve answers with the
// replica's name; so does Deliver, unless the lane of account 1 is another's.
class Cluster {
 public:
  Cluster() {
    std::string name = testing::TempDir() + "/posthorn-cluster-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~Cluster() {
    stores_.reset();
    for (auto& [name, replica] : replicas_) Kill(name);
    std::filesystem::remove_all(directory_);
  }
  std::string Target(const std::string& name) const {
    return base::StrCat("unix:", directory_, "/", name);
  }
  void Start(const std::string& name) {
    Replica& replica = replicas_[name];
    rpc::Server::Options options;
    options.process = "store-service";
    options.addresses.push_back({Target(name), "imap-gateway"});
    replica.server = rpc::Server::Create(loop_, options);
    replica.server->HandleStream(rpc::store::kClusterWatch, {},
                                 [this](rpc::ServerCall& call) { return Watch(call); });
    replica.server->Handle(rpc::store::kDirectoryResolve, {},
                           std::function([name](const rpc::CallContext&, v1::ResolveRequest) {
                             return Resolve(name);
                           }));
    replica.server->Handle(
        rpc::store::kMailboxesSubscribe, {},
        std::function([this, name](const rpc::CallContext&, v1::SubscribeRequest) {
          return Subscribe(name);
        }));
    ASSERT_TRUE(replica.server->Start().ok());
  }
  void Kill(const std::string& name) {
    if (replicas_[name].server) replicas_[name].server->Stop(milliseconds(0));
    replicas_[name].server.reset();
  }
  // What every replica says from now on: who is there and who owns all lanes (empty: nobody).
  void Say(const std::vector<std::string>& alive, const std::string& owner, uint64_t epoch) {
    v1::ClusterMap map;
    int index = -1;
    for (const std::string& name : alive) {
      if (name == owner) index = map.replicas_size();
      v1::ClusterMap::Replica& replica = *map.add_replicas();
      replica.set_name(name);
      replica.set_address(Target(name));
    }
    for (uint32_t i = 0; i < base::kLanes; ++i) {
      map.add_lanes()->set_epoch(epoch);
      if (index >= 0) map.mutable_lanes()->rbegin()->set_owner(static_cast<uint32_t>(index));
    }
    owner_ = owner;
    map_ = std::move(map);
    said_.NotifyAll();
  }
  // What replicas do before anybody is told.
  void MoveSilently(const std::string& owner) { owner_ = owner; }
  void Hang() { hang_ = true; }

  // As a process ends: its callers are told.
  net::Task<void> End(std::string name) {
    co_await Leave(name);
    // On the loop itself it would take gRPC from the clients that share it.
    (void)co_await threads_.Run([this, name]() -> absl::StatusOr<bool> {
      Kill(name);
      return true;
    });
  }
  net::Task<void> Leave(const std::string& name) {
    return replicas_[name].server->Leave(milliseconds(60000));
  }
  Stores& Connect(std::vector<std::string> names, milliseconds patience) {
    Stores::Options options;
    options.patience = patience;
    for (const std::string& name : names) options.targets.push_back(Target(name));
    options.caller = "imap-gateway";
    options.connect = [this](const std::string& target) {
      return rpc::Client::Create(loop_, {target, ""});
    };
    stores_ = Stores::Create(loop_, std::move(options));
    return *stores_;
  }
  // Starts all of these, lets them say so, and connects to `targets`.
  void Begin(const std::vector<std::string>& names, const std::string& owner,
             std::vector<std::string> targets, milliseconds patience = milliseconds(60000)) {
    for (const std::string& name : names) Start(name);
    Say(names, owner, 1);
    Connect(std::move(targets), patience);
  }
  void Run(net::Task<void> task) {
    loop_.Spawn("test", Finish(std::move(task)));
    loop_.Run();
  }
  net::Loop& loop() { return loop_; }
  Stores& stores() { return *stores_; }
  int refused() const { return refused_; }

 private:
  struct Replica {
    std::unique_ptr<rpc::Server> server;
  };
  net::Task<void> Finish(net::Task<void> task) {
    co_await std::move(task);
    loop_.Stop();
  }
  net::Task<absl::Status> Watch(rpc::ServerCall& call) {
    call.OnCancel([this] { said_.NotifyAll(); });
    std::string last;
    while (!call.cancelled()) {
      if (std::string now = map_.SerializeAsString(); now != last && !now.empty()) {
        last = std::move(now);
        const absl::Status written = co_await call.Write(map_);
        if (!written.ok()) co_return written;
        continue;
      }
      co_await said_.Wait();
    }
    co_return absl::OkStatus();
  }
  static net::Task<absl::StatusOr<v1::ResolveReply>> Resolve(std::string name) {
    v1::ResolveReply reply;
    reply.set_canonical(name);
    co_return reply;
  }
  net::Task<absl::StatusOr<v1::MailboxReply>> Subscribe(std::string name) {
    while (hang_) co_await net::Sleep(loop_, milliseconds(5));
    if (owner_ != name) {
      ++refused_;
      co_return base::Unavailable(base::kNotOwner);
    }
    v1::MailboxReply reply;
    reply.set_mailbox(name == "a" ? 1 : 2);
    co_return reply;
  }

  std::string directory_;
  net::Loop loop_;
  net::Signal said_{loop_};
  net::BlockingPool threads_{loop_, "kill", 1, 16};
  v1::ClusterMap map_;
  std::string owner_;
  bool hang_ = false;
  int refused_ = 0;
  std::map<std::string, Replica> replicas_;
  std::unique_ptr<Stores> stores_;
};

rpc::CallOptions About(uint64_t account, milliseconds timeout = milliseconds(10000)) {
  rpc::CallOptions options;
  options.account = account;
  options.timeout = timeout;
  return options;
}

// 1 or 2: which replica did it; minus the status code on failure.
net::Task<int> Write(Cluster& cluster, milliseconds timeout = milliseconds(10000)) {
  const auto reply =
      co_await cluster.stores().Call(rpc::store::kMailboxesSubscribe, "mail", rpc::Flow::kFree,
                                     About(1, timeout), v1::SubscribeRequest());
  co_return reply.ok() ? static_cast<int>(reply->mailbox())
                       : -static_cast<int>(reply.status().code());
}

net::Task<void> WaitForOwner(Cluster& cluster) {
  while (cluster.stores().PlaceOf(1) == 0) co_await cluster.stores().changed().Wait();
}

TEST(Stores, ACallAboutAnAccountGoesToItsOwner) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "b", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 2);
    c.Say({"a", "b"}, "a", 2);
    while (co_await Write(c) != 1) {
    }
  }(cluster));
}

TEST(Stores, ARefusedCallWaitsForTheNewOwner) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "a", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 1);
    c.MoveSilently("b");
    const auto later = c.loop().After(milliseconds(30), [&c] { c.Say({"a", "b"}, "b", 2); });
    EXPECT_EQ(co_await Write(c), 2);
    EXPECT_GE(c.refused(), 1);
  }(cluster));
}

TEST(Stores, WithoutAnOwnerACallWaitsUntilItsDeadline) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c, milliseconds(300)),
              -static_cast<int>(absl::StatusCode::kUnavailable));
  }(cluster));
}

TEST(Stores, AReplicaThatTheOthersCallDeadEndsItsCalls) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "b", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    co_await WaitForOwner(c);
    c.Hang();
    const auto later = c.loop().After(milliseconds(50), [&c] { c.Say({"a"}, "", 2); });
    EXPECT_EQ(co_await Write(c), -static_cast<int>(absl::StatusCode::kUnavailable));
  }(cluster));
}

TEST(Stores, OneTargetOfSeveralIsEnough) {
  Cluster cluster;
  cluster.Begin({"b"}, "b", {"a", "b"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 2);
    EXPECT_TRUE(c.stores().connected());
  }(cluster));
}

TEST(Stores, TheMapIsLearntFromAnotherReplicaWhenOneDies) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "a", {"a", "b"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 1);
    c.Kill("a");
    c.Say({"b"}, "b", 2);
    int who = 0;
    while ((who = co_await Write(c)) < 0) co_await net::Sleep(c.loop(), milliseconds(10));
    EXPECT_EQ(who, 2);
  }(cluster));
}

// More than the moment that each call waits for its connection.
constexpr milliseconds kSlowStart{700};

TEST(Stores, ACallWaitsForAStoreThatStartsAgain) {
  Cluster cluster;
  cluster.Begin({"a"}, "a", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 1);
    co_await c.End("a");
    const auto later = c.loop().After(kSlowStart, [&c] { c.Start("a"); });
    EXPECT_EQ(co_await Write(c), 1);
  }(cluster));
}

TEST(Stores, ACallThatWasNotSentWaitsForTheNewOwner) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "a", {"a", "b"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 1);
    co_await c.End("a");
    const auto later = c.loop().After(kSlowStart, [&c] { c.Say({"b"}, "b", 2); });
    EXPECT_EQ(co_await Write(c), 2);
  }(cluster));
}

TEST(Stores, WhenPatienceIsOverACallFails) {
  Cluster cluster;
  cluster.Begin({"a"}, "a", {"a"}, milliseconds(1));
  cluster.Run([](Cluster& c) -> net::Task<void> {
    EXPECT_EQ(co_await Write(c), 1);
    co_await c.End("a");
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(co_await Write(c, milliseconds(600000)),
                -static_cast<int>(absl::StatusCode::kUnavailable));
    }
    c.Start("a");
    while (co_await Write(c) != 1) {
    }
  }(cluster));
}

TEST(Stores, WhatIsNobodysIsNotAskedOfAReplicaThatLeaves) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "a", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    const auto who = [&c]() -> net::Task<std::string> {
      const auto reply = co_await c.stores().Call(rpc::store::kDirectoryResolve, "directory",
                                                  rpc::Flow::kFree, {}, {});
      EXPECT_TRUE(reply.ok()) << reply.status();
      co_return reply.ok() ? reply->canonical() : "";
    };
    co_await WaitForOwner(c);
    const std::string first = co_await who();
    co_await c.Leave(first);
    EXPECT_NE(co_await who(), first);
  }(cluster));
}

TEST(Stores, AnyReplicaAnswersWhatIsNobodys) {
  Cluster cluster;
  cluster.Begin({"a", "b"}, "a", {"a"});
  cluster.Run([](Cluster& c) -> net::Task<void> {
    co_await WaitForOwner(c);
    const auto before = co_await c.stores().Call(rpc::store::kDirectoryResolve, {}, {});
    EXPECT_TRUE(before.ok()) << before.status();
    c.Kill("a");
    c.Say({"b"}, "b", 2);
    std::string who;
    while (who != "b") {
      const auto reply = co_await c.stores().Call(rpc::store::kDirectoryResolve, {}, {});
      if (reply.ok()) who = reply->canonical();
    }
  }(cluster));
}

}  // namespace
}  // namespace posthorn::cluster
