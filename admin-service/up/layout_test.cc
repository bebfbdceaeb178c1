#include "admin-service/up/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "admin-service/up/files.h"

namespace posthorn::up {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

Options WithBase() {
  Options options;
  options.dir = "/tmp/it's here";
  options.port_base = 20000;
  options.bind = "127.0.0.1";
  return options;
}

TEST(Layout, PortsAreTheBasePlusTheStandardOnes) {
  const std::string text = EndpointsText(WithBase(), 42, std::vector<int>(Processes().size(), 7));
  EXPECT_EQ(ReadVariable(text, "HOST"), "127.0.0.1");
  EXPECT_EQ(ReadVariable(text, "SMTP_PORT"), "20025");
  EXPECT_EQ(ReadVariable(text, "SUBMISSIONS_PORT"), "20465");
  EXPECT_EQ(ReadVariable(text, "IMAPS_PORT"), "20993");
  EXPECT_EQ(ReadVariable(text, "ADMIN_ADDRESS"), "127.0.0.1:20080");
  EXPECT_EQ(ReadVariable(text, "HEALTH_SMTP_GATEWAY"), "127.0.0.1:20901");
  EXPECT_EQ(ReadVariable(text, "PID"), "42");
  EXPECT_EQ(ReadVariable(text, "PID_DELIVERY_QUEUE"), "7");
  EXPECT_EQ(ReadVariable(text, "NOTHING"), "");
}

TEST(Layout, AShellReadsTheFileWhateverTheDirectoryIsCalled) {
  const std::string text = EndpointsText(WithBase(), 1, std::vector<int>(Processes().size(), 0));
  EXPECT_NE(text.find("DIR='/tmp/it'\\''s here'\n"), std::string::npos);
}

TEST(Layout, WithoutABaseThePortsAreTheStandardOnes) {
  const std::string text = EndpointsText({}, 1, std::vector<int>(Processes().size(), 0));
  EXPECT_EQ(ReadVariable(text, "IMAP_PORT"), "143");
  EXPECT_EQ(ReadVariable(text, "ADMIN_ADDRESS"), "127.0.0.1:9080");
  EXPECT_EQ(ReadVariable(text, "HEALTH_ADMIN_SERVICE"), "127.0.0.1:9907");
}

TEST(Layout, NoTwoThingsShareAPort) {
  std::set<std::string> seen;
  for (const Process& process : Processes())
    EXPECT_TRUE(seen.insert(HealthAddress(WithBase(), process)).second);
  EXPECT_TRUE(seen.insert(AdminAddress(WithBase())).second);
}

TEST(Layout, OnlyGatewaysGetPortsAndOnlyAdminThePasswordFile) {
  for (const Process& process : Processes()) {
    const auto arguments = Arguments(WithBase(), process, "");
    const bool gateway = process.name.ends_with("-gateway");
    EXPECT_THAT(arguments,
                gateway
                    ? ::testing::Matcher<std::vector<std::string>>(Contains("--port-base"))
                    : ::testing::Matcher<std::vector<std::string>>(Not(Contains("--port-base"))));
    EXPECT_EQ(::testing::Value(arguments, Contains("--password-file")),
              process.name == "admin-service");
    EXPECT_THAT(arguments, Not(Contains("--user")));
  }
}

TEST(Layout, OnlyTheStoreIsToldWhereMailLies) {
  Options options = WithBase();
  options.store_flags = {"--database", "mysql://u@h/n", "--blobs", "s3://mail"};
  for (const Process& process : Processes()) {
    EXPECT_EQ(::testing::Value(
                  Arguments(options, process, "posthorn-x"),
                  ::testing::IsSupersetOf({"--database", "mysql://u@h/n", "--blobs", "s3://mail"})),
              process.name == "store-service");
  }
}

TEST(Layout, WantsThePortsOfWhatRunsHere) {
  Options options = WithBase();
  options.processes = {"imap-gateway"};
  std::map<int, std::string> ports;
  for (const WantedPort& wanted : WantedPorts(options, Which::kFirstStart)) {
    EXPECT_EQ(wanted.address, "127.0.0.1");
    ports[wanted.port] = wanted.what;
  }
  EXPECT_THAT(ports, ElementsAre(Pair(20143, "IMAP"), Pair(20902, "health of imap-gateway"),
                                 Pair(20993, "IMAPS")));
  EXPECT_EQ(WantedPorts(options, Which::kFixed).size(), 1U);
}

TEST(Users, TheCommandMakesThoseThatAreMissing) {
  EXPECT_THAT(MakeUsersCommand({"posthorn-smtp", "posthorn-spam"}),
              AllOf(StartsWith("for u in posthorn-smtp posthorn-spam; do useradd --system "),
                    HasSubstr("--no-create-home"), HasSubstr("nologin $u; done")));
}

}  // namespace
}  // namespace posthorn::up
