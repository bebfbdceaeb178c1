#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/process/config_watch.h"
#include "lib/process/event_shipper.h"
#include "lib/process/flags.h"
#include "lib/process/grpc_log.h"
#include "lib/process/privileges.h"
#include "lib/process/process_metrics.h"
#include "lib/process/reporter.h"
#include "lib/rpc/methods/admin.h"
#include "lib/testing/run_task.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::process {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/posthorn-process-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string operator/(std::string_view name) const { return base::StrCat(path_, "/", name); }

 private:
  std::string path_;
};

TEST(Flags, BothFormsOfAValue) {
  const std::vector<std::string> arguments = {"--run=/run/x",    "--port-base", "20000", "--listen",
                                              "127.0.0.1:1=cli", "--backend",   "sqlite"};
  const auto parsed = ParseFlags(arguments, {"--backend"});
  ASSERT_TRUE(parsed.ok()) << base::Message(parsed.status());
  EXPECT_EQ(parsed->flags.run, "/run/x");
  EXPECT_EQ(parsed->flags.port_base, 20000);
  EXPECT_THAT(parsed->flags.listen, ElementsAre("127.0.0.1:1=cli"));
  EXPECT_THAT(parsed->flags.own, ElementsAre(Pair("backend", "sqlite")));
}

TEST(Flags, WhatIsWrongIsNamed) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--frobnicate", "1"}, "--frobnicate"},
      {{"--data"}, "--data wants a value"},
      {{"--port-base", "x"}, "--port-base"},
      {{"stray"}, "stray"},
      {{"--listen", "0.0.0.0:9080=cli"}, "role cli"},
      {{"--listen", "192.0.2.1:9080=cli"}, "role cli"},
      {{"--listen", ":9080=cli"}, "role cli"},
      {{"--tls-cert", "c", "--tls-key", "k"}, "go together"},
      {{"--listen", ":9080=spam-service", "--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a"},
       "certificate's"},
      {{"--run", std::string(90, 'a')}, "--run"}};
  for (const auto& [arguments, expected] : cases) {
    EXPECT_THAT(std::string(base::Message(ParseFlags(arguments, {}).status())),
                HasSubstr(expected));
  }
}

TEST(Flags, OthersAreToldAnAddressThatLeadsHere) {
  const auto advertised = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--name", "store-1"});
    return ParseFlags(arguments, {})->flags.advertise;
  };
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  EXPECT_EQ(advertised({}), "");
  EXPECT_EQ(advertised({"--listen", "unix:/run/sock=cli"}), "");
  EXPECT_EQ(advertised({"--listen", "10.0.0.1:7001=smtp-gateway"}), "");
  EXPECT_EQ(advertised({"--listen", "unix:/run/sock=cli", "--listen", "10.0.0.1:7001"}),
            "10.0.0.1:7001");
  EXPECT_EQ(advertised({"--listen", "0.0.0.0:7001"}), base::StrCat(host, ":7001"));
  EXPECT_EQ(advertised({"--listen", "[::]:7001"}), base::StrCat(host, ":7001"));
  EXPECT_EQ(advertised({"--listen", "0.0.0.0:7001", "--advertise", "a.test:1"}), "a.test:1");
}

TEST(Flags, SocketsAreNamedByServiceAndRole) {
  EXPECT_EQ(SocketTarget("/run/x", SocketWord("store-service"), "imap-gateway"),
            "unix:/run/x/store.imap-gateway/sock");
}

TEST(GrpcLog, SpeaksAsWeDo) {
  observe::SetUpLog("test", observe::Level::kInfo);
  SetUpGrpcLog();
  ::testing::internal::CaptureStderr();
  gpr_log(GPR_ERROR, "no luck %d\nat all", 7);
  gpr_log(GPR_DEBUG, "nobody asked");
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr(" warning test rpc.grpc at=process_test.cc line="));
  EXPECT_THAT(said, HasSubstr("no luck 7"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST(Privileges, UsersFollowTheProcessName) {
  EXPECT_EQ(UserOf("smtp-gateway"), "posthorn-smtp");
  EXPECT_EQ(UserOf("delivery-queue"), "posthorn-queue");
}

admin::v1::WatchReply SettingsReply(uint64_t revision, uint32_t recipients) {
  admin::v1::WatchReply reply;
  reply.set_revision(revision);
  reply.set_full(true);
  config::v1::Settings settings;
  settings.set_max_recipients(recipients);
  auto* object = reply.add_objects();
  object->set_kind("posthorn.config.v1.Settings");
  object->set_name("default");
  object->set_data(settings.SerializeAsString());
  return reply;
}

TEST(SavedConfiguration, ComesBackAndATornOneDoesNot) {
  const Directory directory;
  const std::string path = directory / "config.snapshot";
  EXPECT_TRUE(absl::IsNotFound(LoadSnapshot(path).status()));
  ASSERT_TRUE(SaveSnapshot(path, *config::Snapshot().With(SettingsReply(5, 123))).ok());
  const auto loaded = LoadSnapshot(path);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ((*loaded)->Get<config::v1::Settings>().max_recipients(), 123u);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_TRUE(absl::IsDataLoss(LoadSnapshot(path).status()));
}

// Answers each watch with the next script, then ends it.
class FakeAdmin : public rpc::Client {
 public:
  explicit FakeAdmin(net::Loop& loop) : loop_(loop) {}
  std::vector<std::vector<admin::v1::WatchReply>> scripts;
  std::vector<uint64_t> known;
  std::vector<admin::v1::ProcessReport> reports;
  absl::Status heard;       // what a report is answered
  std::set<size_t> frozen;  // watches that say nothing more after their script, instead of ending

  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view, rpc::Flow,
                                      rpc::CallOptions) override {
    EXPECT_EQ(path, rpc::admin::kConfigWatch.path);
    return std::make_unique<Call>(*this, calls_++);
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view, rpc::Flow,
                                  rpc::CallOptions, const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite&) override {
    EXPECT_EQ(path, rpc::admin::kConfigReport.path);
    reports.push_back(static_cast<const admin::v1::ProcessReport&>(request));
    co_return heard;
  }
  bool connected() const override { return true; }

 private:
  class Call : public rpc::RawCall {
   public:
    Call(FakeAdmin& admin, size_t index)
        : admin_(admin), index_(index), given_up_(std::make_shared<net::Signal>(admin.loop_)) {}
    ~Call() override { given_up_->NotifyAll(); }
    net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
      admin_.known.push_back(static_cast<const admin::v1::WatchRequest&>(message).known_revision());
      co_return absl::OkStatus();
    }
    void WritesDone() override {}
    net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
      const bool says = index_ < admin_.scripts.size() && next_ < admin_.scripts[index_].size();
      if (!says && admin_.frozen.contains(index_)) {
        const std::shared_ptr<net::Signal> given_up = given_up_;
        co_await given_up->Wait();
        co_return absl::CancelledError("given up");
      }
      if (index_ >= admin_.scripts.size()) co_await net::Sleep(admin_.loop_, std::chrono::hours(1));
      if (next_ >= admin_.scripts[index_].size()) co_return base::Unavailable("gone");
      static_cast<admin::v1::WatchReply&>(into) = admin_.scripts[index_][next_++];
      co_return true;
    }

   private:
    FakeAdmin& admin_;
    size_t index_;
    size_t next_ = 0;
    std::shared_ptr<net::Signal> given_up_;
  };
  net::Loop& loop_;
  size_t calls_ = 0;
};

TEST(ConfigWatch, ReconnectsWithWhatItKnowsAndKeepsACopy) {
  const Directory directory;
  net::Loop loop;
  FakeAdmin admin(loop);
  admin.scripts = {{}, {SettingsReply(3, 100)}, {SettingsReply(4, 200)}};
  ConfigWatch watch(loop, admin,
                    {.process = "smtp-gateway", .file = directory / "config.snapshot"});
  std::vector<uint32_t> seen;
  watch.OnChange([&](const config::Snapshot& snapshot) {
    seen.push_back(snapshot.Get<config::v1::Settings>().max_recipients());
    if (seen.size() == 2) loop.Post([&] { loop.Stop(); });
  });
  watch.Start();
  const auto guard = loop.After(std::chrono::seconds(20), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_THAT(seen, ElementsAre(100, 200));
  EXPECT_THAT(admin.known, ElementsAre(0, 0, 3));
  EXPECT_EQ(LoadSnapshot(directory / "config.snapshot").value()->revision(), 4u);
}

TEST(ConfigWatch, StartsFromItsFileWhenAdminIsAway) {
  const Directory directory;
  ASSERT_TRUE(
      SaveSnapshot(directory / "config.snapshot", *config::Snapshot().With(SettingsReply(9, 77)))
          .ok());
  net::Loop loop;
  FakeAdmin admin(loop);
  ConfigWatch watch(loop, admin,
                    {.process = "smtp-gateway", .file = directory / "config.snapshot"});
  EXPECT_EQ(watch.current(), nullptr);
  EXPECT_TRUE(watch.UseSaved());
  EXPECT_EQ(watch.current()->revision(), 9u);
}

TEST(ConfigWatch, LeavesAnAdminThatSaysNothingAnyMore) {
  net::Loop loop;
  FakeAdmin admin(loop);
  admin.scripts = {{SettingsReply(3, 100)}, {SettingsReply(4, 200)}};
  admin.frozen = {0};
  ConfigWatch watch(loop, admin,
                    {.process = "smtp-gateway", .silence = std::chrono::milliseconds(20)});
  watch.OnChange([&](const config::Snapshot& snapshot) {
    if (snapshot.revision() == 4) loop.Post([&] { loop.Stop(); });
  });
  watch.Start();
  const auto guard = loop.After(std::chrono::seconds(20), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_EQ(watch.current()->revision(), 4u);
  EXPECT_THAT(admin.known, ElementsAre(0, 3));
}

TEST(ConfigWatch, WaitsLessLongForTheFirstWord) {
  net::Loop loop;
  FakeAdmin admin(loop);
  admin.scripts = {{}, {SettingsReply(4, 200)}};
  admin.frozen = {0};
  ConfigWatch watch(loop, admin,
                    {.process = "smtp-gateway",
                     .silence = std::chrono::hours(1),
                     .first_word = std::chrono::milliseconds(20)});
  watch.OnChange([&](const config::Snapshot&) { loop.Post([&] { loop.Stop(); }); });
  watch.Start();
  const auto guard = loop.After(std::chrono::seconds(20), [&] { loop.Stop(); });
  loop.Run();
  ASSERT_NE(watch.current(), nullptr);
  EXPECT_EQ(watch.current()->revision(), 4u);
}

TEST(Reporter, SpeaksAtOnceOnNewsAndWhenItLeaves) {
  net::Loop loop;
  FakeAdmin admin(loop);
  std::string missing = "the store";
  Reporter reporter(loop, admin, [&] {
    admin::v1::ProcessReport report;
    report.set_name("one");
    report.set_missing(missing);
    return report;
  });
  reporter.Start();
  // Before the two seconds of its own are over.
  testing::RunTask(
      loop, [](net::Loop& on, FakeAdmin& to, Reporter& from, std::string& what) -> net::Task<void> {
        while (to.reports.empty()) co_await net::Sleep(on, std::chrono::milliseconds(1));
        what.clear();
        from.Now();
        while (to.reports.size() < 2) co_await net::Sleep(on, std::chrono::milliseconds(1));
        co_await from.Leave(std::chrono::milliseconds(500));
      }(loop, admin, reporter, missing));
  ASSERT_EQ(admin.reports.size(), 3u);
  EXPECT_EQ(admin.reports[0].missing(), "the store");
  EXPECT_EQ(admin.reports[1].missing(), "");
  EXPECT_FALSE(admin.reports[1].left());
  EXPECT_TRUE(admin.reports[2].left());
  EXPECT_EQ(admin.reports[2].name(), "one");
}

TEST(Disk, IsAProblemWhenLessThanATenthIsFree) {
  EXPECT_EQ(DiskProblem("/data", 10, 100), "");
  EXPECT_EQ(DiskProblem("/data", uint64_t{300} << 20, uint64_t{10} << 30),
            "the disk of /data is nearly full: 2 % (300 MiB) left");
  EXPECT_EQ(DiskProblem("/data", 0, 0), "") << "not known";
  EXPECT_EQ(DiskProblem(""), "");
}

// A store that fails the first calls.
struct FakeTrace {
  int failures = 0;
  std::vector<size_t> batches;
  net::Task<absl::Status> Record(store::v1::RecordEventsRequest request) {
    if (failures > 0) {
      --failures;
      co_return base::Unavailable("away");
    }
    batches.push_back(static_cast<size_t>(request.events_size()));
    co_return absl::OkStatus();
  }
};

net::Task<void> FlushAndStop(EventShipper& shipper, net::Loop& loop) {
  co_await shipper.Flush(std::chrono::seconds(20));
  loop.Stop();
}

TEST(EventShipper, ShipsInBoundedBatches) {
  net::Loop loop;
  FakeTrace trace;
  EventShipper shipper(
      loop, "here", [&](store::v1::RecordEventsRequest r) { return trace.Record(std::move(r)); });
  for (int i = 0; i < 1100; ++i) shipper.Add({});
  loop.Spawn("test", FlushAndStop(shipper, loop));
  loop.Run();
  EXPECT_THAT(trace.batches, ElementsAre(500, 500, 100));
}

TEST(EventShipper, KeepsEventsOverAFailureAndDropsWhatDoesNotFit) {
  net::Loop loop;
  FakeTrace trace;
  trace.failures = 1;
  EventShipper shipper(
      loop, "here", [&](store::v1::RecordEventsRequest r) { return trace.Record(std::move(r)); });
  for (size_t i = 0; i < EventShipper::kRing + 5; ++i) shipper.Add({});
  EXPECT_EQ(shipper.waiting(), EventShipper::kRing);
  loop.Spawn("test", FlushAndStop(shipper, loop));
  loop.Run();
  EXPECT_EQ(trace.batches.size(), EventShipper::kRing / EventShipper::kBatch);
}

}  // namespace
}  // namespace posthorn::process
