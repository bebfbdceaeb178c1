// A kind that only this test knows of (gadget.proto), through everything: the real store-service,
// the real code of admin-service, the real command. Nothing else was changed for it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "admin-service/service/admin.h"
#include "admin-service/testing/gadget.pb.h"
#include "lib/base/strings.h"
#include "lib/cluster/queues.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"
#include "lib/testing/eventually.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::admin_service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kPrograms = POSTHORN_PROGRAMS;

struct Result {
  int code = -1;
  std::string text;
};
Result Shell(const std::string& command) {
  Result result;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    result.text.append(buffer.data(), n);
  result.code = WEXITSTATUS(pclose(pipe));
  return result;
}

class Store {
 public:
  explicit Store(const std::string& dir) {
    const std::string program = kPrograms + "/posthorn-store-service";
    const std::string run = dir + "/run";
    const std::string data = dir + "/data/store-service";
    std::filesystem::create_directories(run);
    pid_ = fork();
    if (pid_ == 0) {
      execl(program.c_str(), program.c_str(), "--run", run.c_str(), "--data", data.c_str(), "--log",
            "warning", nullptr);
      _exit(127);
    }
  }
  ~Store() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
};

net::Task<void> Begin(Admin& admin) { (void)co_await admin.Start(); }

// admin-service of a release that knows gadgets.
class OwnAdmin {
 public:
  explicit OwnAdmin(const std::string& dir)
      : server_(rpc::Server::Create(
            loop_, {.addresses = {{"unix:" + dir + "/run/admin.cli/sock", "cli", 0600}},
                    .process = "admin-service"})),
        store_(rpc::Client::Create(loop_, {"unix:" + dir + "/run/store.admin-service/sock", ""})),
        queues_(cluster::Queues::Create(loop_, {.connect =
                                                    [this](const std::string& target) {
                                                      return rpc::Client::Create(loop_,
                                                                                 {target, ""});
                                                    }})),
        objects_(NewRemoteObjectStore(*store_)),
        admin_(loop_, config::Schema::Generated(), *objects_, *store_, *queues_,
               {std::string(32, 'k'), dir + "/admin.password",
                [] { return admin::v1::ProcessReport(); }}) {
    samples::Gadget::descriptor();
    std::filesystem::create_directories(dir + "/run/admin.cli");
    admin_.Register(*server_);
    EXPECT_TRUE(server_->Start().ok());
    loop_.Spawn("begin", Begin(admin_));
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~OwnAdmin() {
    loop_.Post([this] {
      admin_.Stop();
      loop_.Stop();
    });
    thread_.join();
    server_->Stop(std::chrono::milliseconds(0));
  }

 private:
  net::Loop loop_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> store_;
  std::unique_ptr<cluster::Queues> queues_;
  std::unique_ptr<ObjectStore> objects_;
  Admin admin_;
  std::thread thread_;
};

class SchemaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // The first configuration is there when this answers.
    Result result;
    testing::Eventually(std::chrono::seconds(30), [&] {
      result = Posthorn("get certificate default");
      return result.code == 0;
    });
    ASSERT_EQ(result.code, 0) << result.text;
  }
  Result Posthorn(const std::string& arguments) {
    return Shell(kPrograms + "/posthorn --dir " + directory_.path() + " " + arguments);
  }
  std::string File(const std::string& name, const std::string& text) {
    std::ofstream(directory_.File(name)) << text;
    return directory_.File(name);
  }
  testing::TempDir directory_;
  Store store_{directory_.path()};
  OwnAdmin admin_{directory_.path()};
};

TEST_F(SchemaTest, ANewKindNeedsNothingButItsProto) {
  // put
  const Result added = Posthorn(
      "add gadget lamp colour=red weight='8 KiB' owners=Bob@Example.ORG pin=1234 listener=imap");
  EXPECT_EQ(added.code, 0) << added.text;
  EXPECT_THAT(added.text, AllOf(HasSubstr("+ gadget lamp"), HasSubstr("revision 2")));
  EXPECT_THAT(Posthorn("add gadget lamp colour=red").text, HasSubstr("exists already"));
  EXPECT_THAT(Posthorn("add gadget sofa colour=blue").text,
              HasSubstr("expected one of RED, GREEN"));
  // list and get, as table, YAML and JSON, the secret masked
  EXPECT_THAT(Posthorn("list gadget").text,
              AllOf(HasSubstr("lamp"), HasSubstr("8 KiB"), HasSubstr("bob@example.org"),
                    Not(HasSubstr("1234"))));
  EXPECT_THAT(Posthorn("get gadget lamp -o yaml").text,
              AllOf(HasSubstr("colour: RED"), HasSubstr("pin: \"********\"")));
  EXPECT_THAT(Posthorn("get gadget lamp -o json").text, HasSubstr("\"kind\":\"gadget\""));
  // apply, with a dry run first
  const std::string file = File("gadgets.yaml",
                                "- {kind: gadget, name: lamp, weight: 16 KiB}\n- {kind: gadget, "
                                "name: sofa, colour: GREEN}\n");
  EXPECT_THAT(Posthorn("diff -f " + file).text, HasSubstr("gadget lamp: weight 8 KiB -> 16 KiB"));
  EXPECT_THAT(Posthorn("apply -f " + file + " --reason gadgets").text,
              AllOf(HasSubstr("+ gadget sofa"), HasSubstr("revision 3")));
  const std::string bad = File("bad.yaml", "kind: gadget\nname: x\ncolor: RED\n");
  EXPECT_THAT(
      Posthorn("apply -f " + bad).text,
      HasSubstr("bad.yaml:3:1: unknown field \"color\" of gadget; did you mean \"colour\"?"));
  // diff and history
  EXPECT_THAT(Posthorn("diff 2").text,
              AllOf(HasSubstr("weight 8 KiB -> 16 KiB"), HasSubstr("+ gadget sofa")));
  EXPECT_THAT(Posthorn("history").text, HasSubstr("gadgets"));
  // explain
  EXPECT_THAT(Posthorn("explain gadget").text,
              AllOf(HasSubstr("A thing of the test"), HasSubstr("4 KiB")));
  EXPECT_THAT(Posthorn("explain gadget.colour").text, HasSubstr("like a post horn's ribbon"));
  // completion: kinds, names, fields, enum values, referred objects
  const auto complete = [&](const std::string& words) {
    return Shell("POSTHORN_DIR=" + directory_.path() + " " + kPrograms + "/posthorn __complete " +
                 words)
        .text;
  };
  EXPECT_EQ(complete("get gad"), "gadget\n");
  EXPECT_EQ(complete("set gadget la"), "lamp\n");
  EXPECT_EQ(complete("set gadget lamp co"), "colour=\n");
  EXPECT_EQ(complete("set gadget lamp colour="), "colour=GREEN\ncolour=RED\n");
  EXPECT_EQ(complete("set gadget lamp listener=pop3"), "listener=pop3\nlistener=pop3s\n");
  // references
  EXPECT_THAT(Posthorn("delete listener imap").text, HasSubstr("still used by gadget \"lamp\""));
  // rollback
  EXPECT_THAT(Posthorn("rollback 2").text,
              AllOf(HasSubstr("- gadget sofa"), HasSubstr("weight 16 KiB -> 8 KiB"),
                    HasSubstr("revision 4")));
  EXPECT_THAT(Posthorn("list gadget").text, Not(HasSubstr("sofa")));
  EXPECT_EQ(Posthorn("get gadget sofa").code, 1);
}

TEST_F(SchemaTest, MistypedCommandsSayWhatWasMeant) {
  EXPECT_THAT(Posthorn("lsit domain").text, HasSubstr("did you mean \"list\"?"));
  EXPECT_EQ(Posthorn("lsit domain").code, 2);
  EXPECT_THAT(Posthorn("list domian").text, HasSubstr("did you mean \"domain\"?"));
  EXPECT_THAT(Posthorn("set settings max_recipient=200").text,
              HasSubstr("did you mean \"max_recipients\"?"));
  EXPECT_THAT(Posthorn("set settings --frob").text, HasSubstr("unknown option --frob"));
  EXPECT_EQ(Shell(kPrograms + "/posthorn --dir /nonexistent status").code, 3);
}

}  // namespace
}  // namespace posthorn::admin_service
