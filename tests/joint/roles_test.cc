// Who may call what, asked of the real programs over TCP: every method of every contract, by a
// caller with each process's certificate. What is expected stands in docs/contributors.md.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/empty.pb.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "lib/base/strings.h"
#include "lib/certs/folder.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/methods/admin.h"
#include "lib/rpc/methods/grpc.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/methods/spam.h"
#include "lib/rpc/methods/store.h"
#include "lib/testing/free_port.h"
#include "lib/testing/temp_dir.h"

namespace posthorn {
namespace {

using std::chrono::milliseconds;
using Roles = std::set<std::string>;

const char* const kServices[] = {"store-service", "admin-service", "delivery-queue",
                                 "spam-service"};

// The contract's file says whose it is.
std::string OwnerOf(const google::protobuf::ServiceDescriptor& service) {
  const std::string& package = service.file()->package();
  if (package == "posthorn.queue.v1") return "delivery-queue";
  if (package == "posthorn.spam.v1") return "spam-service";
  return package == "posthorn.admin.v1" ? "admin-service" : "store-service";
}

// "Objects.Head, List" | "admin-service" … → {"Objects.Head": …, "Objects.List": …}.
std::map<std::string, Roles> TableInDocs() {
  std::map<std::string, Roles> out;
  std::ifstream file(POSTHORN_SOURCE "/docs/contributors.md");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## RPCs: who may call what";
    if (!inside || !line.starts_with("| ") || line.starts_with("| method")) continue;
    const std::vector<std::string_view> cells = base::Split(line, '|');
    std::string service;
    for (const std::string_view cell : base::Split(cells[1], ',')) {
      std::string name(base::Trim(cell));
      const size_t dot = name.find('.');
      if (dot != std::string::npos) service = name.substr(0, dot + 1);
      if (dot == std::string::npos) name = service + name;
      for (const std::string_view role : base::Split(cells[2], ',')) {
        out[name].insert(std::string(base::Trim(role)));
      }
    }
  }
  return out;
}

class RolesTest : public ::testing::Test {
 protected:
  RolesTest() {
    EXPECT_TRUE(certs::InitFolder({certs_}).ok());
    for (const char* const service : kServices) ports_[service] = posthorn::testing::FreePort();
    for (const char* const service : kServices) Start(service);
    for (const std::string& role : certs::Owners()) {
      const std::string at = certs_ + "/" + role;
      auto loaded =
          rpc::Credentials::Load(loop_, {at + "/tls.crt", at + "/tls.key", at + "/ca.crt"});
      EXPECT_TRUE(loaded.ok()) << loaded.status();
      credentials_[role] = *loaded;
    }
    for (const char* const service : kServices) WaitFor(service);
  }
  ~RolesTest() override {
    clients_.clear();
    for (const pid_t pid : pids_) kill(pid, SIGKILL);
    for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
  }

  rpc::Client& ClientOf(const std::string& service, const std::string& role) {
    auto& client = clients_[service + "@" + role];
    if (!client) {
      client = rpc::Client::Create(
          loop_, {base::StrCat("127.0.0.1:", ports_[service]), "", credentials_[role], service});
    }
    return *client;
  }
  // The status of a call with `request` as its only message.
  absl::Status Ask(const std::string& service, const std::string& role, const std::string& path,
                   milliseconds limit, const google::protobuf::Message& request) {
    absl::Status out;
    loop_.Spawn("test", Finish(loop_, ClientOf(service, role), path, limit, request, &out));
    loop_.Run();
    return out;
  }
  // Nothing: the program does not have it (yet); a contract may be ahead.
  std::optional<bool> MayCall(const std::string& service, const std::string& role,
                              const std::string& path) {
    const absl::Status status =
        Ask(service, role, path, milliseconds(300), google::protobuf::Empty());
    EXPECT_EQ(base::Message(status).find("the certificate"), std::string_view::npos) << status;
    if (absl::IsUnimplemented(status)) return std::nullopt;
    return !(absl::IsPermissionDenied(status) &&
             base::Message(status).find("may not call") != std::string_view::npos);
  }

 private:
  static net::Task<void> Finish(net::Loop& loop, rpc::Client& client, std::string path,
                                milliseconds limit, const google::protobuf::Message& request,
                                absl::Status* out) {
    rpc::CallOptions options;
    options.timeout = limit;
    {
      const auto call = client.Start(path, "", rpc::Flow::kFree, options);
      google::protobuf::Empty reply;  // any message: unknown fields
      absl::Status status = co_await call->Write(request);
      call->WritesDone();
      if (status.ok()) status = (co_await call->Read(reply)).status();
      *out = status;
    }
    loop.Stop();
  }
  void Start(const std::string& service) {
    const std::string at = certs_ + "/" + service;
    std::vector<std::string> arguments = {base::StrCat(POSTHORN_PROGRAMS, "/posthorn-", service),
                                          "--data",
                                          dir_.File(service),
                                          "--log",
                                          "error",
                                          "--listen",
                                          base::StrCat("127.0.0.1:", ports_[service]),
                                          "--tls-cert",
                                          at + "/tls.crt",
                                          "--tls-key",
                                          at + "/tls.key",
                                          "--tls-ca",
                                          at + "/ca.crt"};
    for (const auto& [flag, other] : {std::pair{"--store", "store-service"},
                                      {"--admin", "admin-service"},
                                      {"--queue", "delivery-queue"},
                                      {"--spam", "spam-service"}}) {
      if (service == other) continue;
      arguments.insert(arguments.end(), {flag, base::StrCat("127.0.0.1:", ports_[other])});
    }
    if (service == "admin-service") {
      arguments.insert(arguments.end(), {"--password-file", dir_.File("password")});
    }
    const pid_t pid = fork();
    if (pid == 0) {
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    pids_.push_back(pid);
  }
  void WaitFor(const std::string& service) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    absl::Status status = base::Unavailable("not asked");
    while (!status.ok() && std::chrono::steady_clock::now() < end) {
      status = Ask(service, "cli", std::string(rpc::grpc_public::kHealthCheck.path),
                   milliseconds(1000), google::protobuf::Empty());
    }
    ASSERT_EQ(status, absl::OkStatus()) << service;
  }

  const posthorn::testing::TempDir dir_;
  const std::string certs_ = dir_.File("certs");
  net::Loop loop_;
  std::map<std::string, int> ports_;
  std::vector<pid_t> pids_;
  std::map<std::string, std::shared_ptr<rpc::Credentials>> credentials_;
  std::map<std::string, std::unique_ptr<rpc::Client>> clients_;
};

// All contracts' files, by one message of each.
std::set<const google::protobuf::FileDescriptor*> Contracts() {
  return {store::v1::HeadRequest::descriptor()->file(),
          store::v1::PutRequest::descriptor()->file(),
          store::v1::ResolveRequest::descriptor()->file(),
          store::v1::DeliverRequest::descriptor()->file(),
          store::v1::SyncRequest::descriptor()->file(),
          store::v1::ClusterMap::descriptor()->file(),
          store::v1::QueueLease::descriptor()->file(),
          admin::v1::ApplyRequest::descriptor()->file(),
          queue::v1::EnqueueRequest::descriptor()->file(),
          spam::v1::CheckEnvelopeRequest::descriptor()->file()};
}

std::vector<const google::protobuf::MethodDescriptor*> Methods() {
  std::vector<const google::protobuf::MethodDescriptor*> out;
  for (const auto* const file : Contracts()) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        out.push_back(file->service(s)->method(m));
      }
    }
  }
  return out;
}

TEST_F(RolesTest, EachMethodMayBeCalledByWhomTheDocsName) {
  const std::map<std::string, Roles> expected = TableInDocs();
  EXPECT_EQ(expected.size(), Methods().size());
  for (const auto* const method : Methods()) {
    const std::string owner = OwnerOf(*method->service());
    const std::string name = base::StrCat(method->service()->name(), ".", method->name());
    const auto found = expected.find(name);
    ASSERT_NE(found, expected.end()) << name << " is not in docs/contributors.md";
    const std::string path = base::StrCat("/", method->service()->full_name(), "/", method->name());
    for (const std::string& role : certs::Owners()) {
      if (role == owner) continue;  // nobody calls himself
      const bool expects = found->second.contains(role);
      EXPECT_EQ(MayCall(owner, role, path).value_or(expects), expects) << name << " by " << role;
    }
  }
}

TEST_F(RolesTest, OnlyAdminWritesConfigurationAndOnlyOperatorsTellIt) {
  for (const auto& [name, roles] : TableInDocs()) {
    if (name.starts_with("Objects.")) EXPECT_EQ(roles, Roles{"admin-service"}) << name;
    if (name.starts_with("Config.") && name != "Config.Watch" && name != "Config.Report")
      EXPECT_EQ(roles, Roles{"cli"}) << name;
    if (name.starts_with("Operations.")) EXPECT_EQ(roles, Roles{"cli"}) << name;
  }
}

// Relay passwords and DKIM keys are the queue's business: a gateway that was broken into cannot get
// them by giving itself another name.
TEST_F(RolesTest, AProcessWatchesItsOwnConfigurationOnly) {
  admin::v1::WatchRequest request;
  for (const std::string role : {"smtp-gateway", "imap-gateway", "spam-service"}) {
    request.set_process("delivery-queue");
    EXPECT_EQ(Ask("admin-service", role, std::string(rpc::admin::kConfigWatch.path),
                  milliseconds(5000), request)
                  .code(),
              absl::StatusCode::kPermissionDenied);
    request.set_process(role);
    EXPECT_EQ(Ask("admin-service", role, std::string(rpc::admin::kConfigWatch.path),
                  milliseconds(5000), request),
              absl::OkStatus());
  }
}

}  // namespace
}  // namespace posthorn
