#include "lib/process/service.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "lib/base/strings.h"
#include "lib/certs/issue.h"
#include "lib/net/loop.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/methods/admin.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::process {
namespace {

std::unique_ptr<Service> Make(const std::string& run, Service::Options options,
                              std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"program", "--run", run + "/run", "--data",
                                        run + "/data/" + options.process};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return Service::Create(static_cast<int>(argv.size()), argv.data(), std::move(options));
}

net::Task<absl::Status> RaiseSoon(net::Loop& loop) {
  loop.Post([] { kill(getpid(), SIGTERM); });
  co_return absl::OkStatus();
}
net::Task<absl::Status> Refuse() { co_return absl::InternalError("no port"); }
net::Task<void> Mark(std::string& log, std::string what) {
  log += what;
  co_return;
}

TEST(Service, StopsInOrderAtSigterm) {
  const testing::TempDir directory;
  const auto service =
      Make(directory.path(),
           {.process = "store-service", .wants_config = false, .caller_roles = {"imap-gateway"}});
  std::string log;
  service->OnStop([&] { return Mark(log, "journal "); });
  service->OnStop([&] { return Mark(log, "database"); });
  EXPECT_EQ(service->Run([&] { return RaiseSoon(service->loop()); }), 0);
  EXPECT_EQ(log, "journal database");
}

// Where a service manager listens.
class Manager {
 public:
  explicit Manager(const std::string& path) : fd_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    close(fd_);
  }
  Manager(const Manager&) = delete;
  // What was said so far.
  std::vector<std::string> Heard() const {
    std::vector<std::string> out;
    char buffer[256];
    ssize_t size = 0;
    while ((size = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT)) >= 0)
      out.emplace_back(buffer, static_cast<size_t>(size));
    return out;
  }

 private:
  const int fd_;
};

TEST(Service, TellsTheServiceManagerWhenItIsReadyAndWhenItStops) {
  const testing::TempDir directory;
  const Manager manager(directory.path() + "/notify");
  const auto service = Make(directory.path(), {.process = "store-service", .wants_config = false});
  EXPECT_EQ(service->Run([&] { return RaiseSoon(service->loop()); }), 0);
  EXPECT_EQ(manager.Heard(), (std::vector<std::string>{"READY=1", "STOPPING=1"}));
}

TEST(Service, FailsWhenSetupFails) {
  const testing::TempDir directory;
  const auto service = Make(directory.path(), {.process = "spam-service", .wants_config = false});
  EXPECT_EQ(service->Run([] { return Refuse(); }), 1);
}

net::Task<absl::Status> EndSoon(Service& service) {
  service.loop().Post([&service] { service.End(absl::AlreadyExistsError("the name is taken")); });
  co_return absl::OkStatus();
}

TEST(Service, EndsInOrderButAsAFailureWhenItCannotGoOn) {
  const testing::TempDir directory;
  const auto service = Make(directory.path(), {.process = "store-service", .wants_config = false});
  std::string log;
  service->OnStop([&] { return Mark(log, "lanes"); });
  EXPECT_EQ(service->Run([&] { return EndSoon(*service); }), 1);
  EXPECT_EQ(log, "lanes");
}

TEST(Service, DescribesItself) {
  const testing::TempDir directory;
  const auto service =
      Make(directory.path(), {.process = "store-service", .wants_config = false},
           {"--name", "store-1", "--advertise", "10.0.0.1:7001", "--listen", "127.0.0.1:0"});
  service->AddReport([](admin::v1::ProcessReport& report) { report.add_problems("it smells"); });
  const admin::v1::ProcessReport report = service->Describe();
  EXPECT_EQ(report.process(), "store-service");
  EXPECT_EQ(report.name(), "store-1");
  EXPECT_EQ(report.instance(), base::StrCat("store-1/", getpid()));
  EXPECT_EQ(report.address(), "10.0.0.1:7001");
  EXPECT_EQ(report.missing(), "starting");
  EXPECT_FALSE(report.has_certificate_seconds());
  ASSERT_EQ(report.problems_size(), 1);
  EXPECT_EQ(report.problems(0), "it smells");
}

TEST(Service, HasDefaultsBeforeAdminAnswered) {
  const testing::TempDir directory;
  const auto service = Make(directory.path(), {.process = "store-service", .wants_config = false});
  EXPECT_EQ(service->config()->Get<config::v1::Settings>().max_recipients(), 1000u);
}

// An admin-service that has one thing to say.
net::Task<absl::Status> SayOnce(rpc::ServerCall& call) {
  admin::v1::WatchRequest request;
  (void)co_await call.Read(request);
  admin::v1::WatchReply reply;
  reply.set_revision(12);
  reply.set_full(true);
  co_return co_await call.Write(reply);
}

TEST(Service, WaitsForAdminAndIsKnownThereByItsSocket) {
  const testing::TempDir directory;
  const auto gateway = Make(directory.path(), {.process = "imap-gateway"});
  std::filesystem::create_directories(directory.path() + "/run/admin.imap-gateway");
  net::Loop loop;
  const auto admin = rpc::Server::Create(
      loop,
      {.addresses = {{"unix:" + directory.path() + "/run/admin.imap-gateway/sock", "imap-gateway"}},
       .process = "admin-service"});
  admin->HandleStream(rpc::admin::kConfigWatch, {"imap-gateway"},
                      [](rpc::ServerCall& call) { return SayOnce(call); });
  ASSERT_TRUE(admin->Start().ok());
  std::thread thread([&] { loop.Run(); });
  uint64_t revision = 0;
  EXPECT_EQ(gateway->Run([&] {
    revision = gateway->config()->revision();
    return RaiseSoon(gateway->loop());
  }),
            0);
  EXPECT_EQ(revision, 12u);
  loop.Stop();
  thread.join();
  admin->Stop(std::chrono::milliseconds(0));
}

// A folder with a certificate of `process`, as flags.
std::vector<std::string> WriteCertificate(const std::string& folder, const std::string& process,
                                          const certs::Identity& authority) {
  const auto identity =
      certs::Issue(authority, {rpc::CertificateName(process)}, certs::Validity::Days(1));
  const std::string begin = folder + "/" + process;
  std::ofstream(begin + ".crt") << identity->certificate_pem;
  std::ofstream(begin + ".key") << identity->key_pem;
  std::ofstream(begin + ".ca") << authority.certificate_pem;
  return {"--tls-cert", begin + ".crt", "--tls-key", begin + ".key", "--tls-ca", begin + ".ca"};
}

TEST(Service, IsKnownOverTcpByItsCertificate) {
  const testing::TempDir directory;
  const auto authority = certs::MakeAuthority("Test", certs::Validity::Days(1));
  WriteCertificate(directory.path(), "admin-service", *authority);
  net::Loop loop;
  const std::string begin = directory.path() + "/admin-service";
  auto credentials = rpc::Credentials::Load(loop, {begin + ".crt", begin + ".key", begin + ".ca"});
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const auto admin = rpc::Server::Create(
      loop,
      {.addresses = {{"127.0.0.1:0"}}, .process = "admin-service", .credentials = *credentials});
  admin->HandleStream(rpc::admin::kConfigWatch, {"imap-gateway"},
                      [](rpc::ServerCall& call) { return SayOnce(call); });
  ASSERT_TRUE(admin->Start().ok());
  std::thread thread([&] { loop.Run(); });
  std::vector<std::string> flags = WriteCertificate(directory.path(), "imap-gateway", *authority);
  flags.insert(flags.end(), {"--admin", base::StrCat("127.0.0.1:", admin->port(0))});
  const auto gateway = Make(directory.path(), {.process = "imap-gateway"}, flags);
  uint64_t revision = 0;
  EXPECT_EQ(gateway->Run([&] {
    revision = gateway->config()->revision();
    return RaiseSoon(gateway->loop());
  }),
            0);
  EXPECT_EQ(revision, 12u);
  loop.Stop();
  thread.join();
  admin->Stop(std::chrono::milliseconds(0));
}

TEST(ServiceDeathTest, DoesNotStartWithAnotherProcesssCertificate) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const testing::TempDir directory;
  const auto authority = certs::MakeAuthority("Test", certs::Validity::Days(1));
  const auto flags = WriteCertificate(directory.path(), "imap-gateway", *authority);
  EXPECT_EXIT(Make(directory.path(), {.process = "smtp-gateway"}, flags),
              ::testing::ExitedWithCode(1), "belongs to imap-gateway");
}

}  // namespace
}  // namespace posthorn::process
