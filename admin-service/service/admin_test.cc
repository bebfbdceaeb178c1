#include "admin-service/service/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "admin-service/testing/fake_object_store.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::admin_service {
namespace {

// Two admin-services that start at once over an empty store, and keep the first administrator's
// password in the same file.
class FirstStart : public ::testing::Test {
 protected:
  std::unique_ptr<rpc::Client> Nobody(const std::string&) {
    return rpc::Client::Create(loop_, {"unix:" + directory_.path() + "/nobody", ""});
  }
  void Write(const std::string& password) { std::ofstream(file_) << password << "\n"; }
  std::string InFile() const {
    std::ifstream file(file_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Start() {
    const auto store = Nobody("");
    const auto queues = cluster::Queues::Create(
        loop_, {.connect = [this](const std::string& target) { return Nobody(target); }});
    Admin admin(loop_, config::Schema::Generated(), store_, *store, *queues,
                {std::string(32, 'k'), file_, [] { return admin::v1::ProcessReport(); }});
    EXPECT_EQ(testing::RunTask(loop_, admin.Start()), absl::OkStatus());
    admin.Stop();
  }

  const testing::TempDir directory_;
  const std::string file_ = directory_.path() + "/password";
  net::Loop loop_;
  FakeObjectStore store_;
};

TEST_F(FirstStart, ThePasswordThatWasCommittedIsKeptThoughASlowerOneWroteItsOwn) {
  store_.before_commit = [this] { Write("the slower one's"); };
  Start();
  EXPECT_EQ(InFile().size(), 21u) << InFile();
  EXPECT_THAT(InFile(), ::testing::Not(::testing::HasSubstr("slower")));
}

TEST_F(FirstStart, TheFileOfAFasterOneStays) {
  store_.before_commit = [this] {
    store_.Write("posthorn.config.v1.Domain", "there.test", "");
    Write("the faster one's");
  };
  Start();
  EXPECT_EQ(InFile(), "the faster one's\n");
}

TEST_F(FirstStart, OursGoesWhenAFasterOneKeepsItsElsewhere) {
  store_.before_commit = [this] { store_.Write("posthorn.config.v1.Domain", "there.test", ""); };
  Start();
  EXPECT_EQ(InFile(), "");
}

TEST_F(FirstStart, APasswordWhoseCommitWasNotAnsweredStays) {
  std::unique_ptr<net::Loop::Timer> back;
  store_.before_commit = [&] {
    store_.Write("posthorn.config.v1.Administrator", "admin", "");
    store_.away = base::Unavailable("the answer is lost");
    back = loop_.After(std::chrono::milliseconds(5), [this] { store_.away = absl::OkStatus(); });
  };
  Start();
  EXPECT_EQ(InFile().size(), 21u) << InFile();
}

}  // namespace
}  // namespace posthorn::admin_service
