#include "lib/process/service.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/process/flags.h"
#include "lib/process/grpc_log.h"
#include "lib/process/life.h"
#include "lib/process/privileges.h"
#include "lib/process/stop_signal.h"
#include "lib/rpc/any_client.h"
#include "lib/rpc/credentials.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::process {
namespace {

constexpr uint32_t kRoleSocketMode = 0660;
constexpr uint32_t kOwnerSocketMode = 0600;

observe::Level ParseLevel(std::string_view name) {
  if (name == "debug") return observe::Level::kDebug;
  if (name == "warning") return observe::Level::kWarning;
  if (name == "error") return observe::Level::kError;
  return observe::Level::kInfo;
}

// Without --listen and --run nobody could call, which is right for gateways in tests.
rpc::Server::Options ServerOptions(const Flags& flags, const Service::Options& options,
                                   std::shared_ptr<rpc::Credentials> credentials) {
  rpc::Server::Options out;
  out.credentials = std::move(credentials);
  out.process = options.process;
  for (const std::string& role :
       flags.run.empty() ? std::vector<std::string>() : options.caller_roles) {
    out.addresses.push_back({SocketTarget(flags.run, SocketWord(options.process), role), role,
                             role == "cli" ? kOwnerSocketMode : kRoleSocketMode});
  }
  for (const std::string& listen : flags.listen) {
    const size_t equals = listen.find('=');
    out.addresses.push_back(
        {listen.substr(0, equals), equals == std::string::npos ? "" : listen.substr(equals + 1)});
  }
  return out;
}

// Left alone, glibc learns from the first freed block of 19 MiB (an Argon2 hash) to keep such
// blocks for ever, in every thread that hashes. And what a busy loop frees and takes again is not
// worth a system call each time.
void SetUpHeap() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
  mallopt(M_TOP_PAD, 256 << 10);
}

// Debian builds Abseil, whose mutexes gRPC uses, with deadlock detection: a graph of all mutexes,
// behind one lock, kept at each of them.
void SetUpMutexes() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

// Who is woken does not push aside who runs: processes that hand each other messages would else
// take turns in the middle of a batch. Needs no rights; the share of the processor is the same.
void SetUpScheduling() {
  const sched_param parameters{};
  if (sched_setscheduler(0, SCHED_BATCH, &parameters) != 0)
    observe::Warning("process.scheduling", {{"error", std::strerror(errno)}});
}

// Makes our folders and becomes the user of --user.
absl::Status PrepareFiles(const Flags& flags, const Service::Options& options) {
  if (!flags.run.empty()) {
    for (const std::string& role : options.caller_roles) {
      RETURN_IF_ERROR(MakeSocketDirectory(
          SocketDirectory(flags.run, SocketWord(options.process), role), flags.user, role));
    }
  }
  // Gateways keep the right to bind ports below 1024, for listeners that are added later.
  const bool gateway = options.process.ends_with("-gateway");
  RETURN_IF_ERROR(
      BecomeUser(flags.user, flags.data, gateway ? LowPorts::kBinds : LowPorts::kNever));
  std::error_code ignored;
  if (!flags.data.empty()) std::filesystem::create_directories(flags.data, ignored);
  return absl::OkStatus();
}

class ServiceImpl : public Service {
 public:
  ServiceImpl(Options options, Flags flags)
      : options_(std::move(options)),
        flags_(std::move(flags)),
        life_(loop_, options_, flags_, *this) {}
  ~ServiceImpl() override {
    // Handlers refer to the service's own objects, and those to clients: the server goes first.
    if (server_) server_->Stop(std::chrono::milliseconds(0));
    server_.reset();
  }

  // After the change of user: the files are read again later.
  absl::Status LoadCredentials() {
    if (flags_.tls_cert.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(credentials_, rpc::Credentials::Load(
                                       loop_, {flags_.tls_cert, flags_.tls_key, flags_.tls_ca}));
    ASSIGN_OR_RETURN(const std::string owner, rpc::RoleOf(credentials_->current()->names));
    if (owner != options_.process) {
      return base::Invalid(base::StrCat(flags_.tls_cert, " belongs to ", owner));
    }
    life_.AddReport([this](admin::v1::ProcessReport& report) {
      report.set_certificate_seconds(credentials_->current()->expiry - base::WallSeconds());
    });
    return absl::OkStatus();
  }

  const Flags& flags() const override { return flags_; }
  net::Loop& loop() override { return loop_; }
  net::Drain& drain() override { return life_.drain(); }
  cluster::Stores& store() override {
    if (!store_) {
      store_ = cluster::Stores::Create(loop_, {.targets = Targets(flags_.store, "store"),
                                               .caller = options_.process,
                                               .connect = [this](const std::string& target) {
                                                 return Connect(target, "store");
                                               }});
    }
    return *store_;
  }
  cluster::Queues& queue() override {
    if (!queue_) {
      queue_ = cluster::Queues::Create(loop_, {.targets = Targets(flags_.queue, "queue"),
                                               .connect = [this](const std::string& target) {
                                                 return Connect(target, "queue");
                                               }});
    }
    return *queue_;
  }
  rpc::Client& spam() override { return Reach(spam_, flags_.spam, "spam"); }
  rpc::Client& admin() override { return Reach(admin_, flags_.admin, "admin"); }
  rpc::Server& server() override {
    if (!server_)
      server_ = rpc::Server::Create(loop_, ServerOptions(flags_, options_, credentials_));
    return *server_;
  }
  std::shared_ptr<const config::Snapshot> config() override { return life_.config(); }
  void OnConfig(std::function<void(const config::Snapshot&)> changed) override {
    life_.OnConfig(std::move(changed));
  }
  void Record(posthorn::common::v1::Event event) override { life_.Record(std::move(event)); }
  void AddReadiness(std::function<std::string()> missing) override {
    life_.AddReadiness(std::move(missing));
  }
  admin::v1::ProcessReport Describe() override { return life_.Describe(); }
  void AddReport(std::function<void(admin::v1::ProcessReport&)> add) override {
    life_.AddReport(std::move(add));
  }
  void End(const absl::Status& why) override { life_.End(why); }
  void OnStop(std::function<net::Task<void>()> work) override { life_.OnStop(std::move(work)); }

  int Run(std::function<net::Task<absl::Status>()> setup) override {
    StopSignal signal(loop_, [this] { life_.Stop(); });
    loop_.Spawn("process.start", life_.Start(std::move(setup)));
    loop_.Run();
    if (server_) server_->Stop(std::chrono::milliseconds(100));
    observe::Info("process.end", {{"code", life_.exit_code()}});
    return life_.exit_code();
  }

 private:
  std::vector<std::string> Targets(const std::string& flag, std::string_view word) const {
    if (flag.empty()) return {SocketTarget(flags_.run, word, options_.process)};
    const std::vector<std::string_view> targets = base::Split(flag, ',');
    return {targets.begin(), targets.end()};
  }
  std::unique_ptr<rpc::Client> Connect(const std::string& target, std::string_view word) {
    rpc::Client::Options options;
    options.target = target;
    options.credentials = credentials_;
    options.process = ProcessOf(word);
    return rpc::Client::Create(loop_, std::move(options));
  }
  rpc::Client& Reach(std::unique_ptr<rpc::Client>& client, const std::string& flag,
                     std::string_view word) {
    if (!client) {
      std::vector<std::unique_ptr<rpc::Client>> replicas;
      for (const std::string& target : Targets(flag, word))
        replicas.push_back(Connect(target, word));
      client = rpc::AnyOf(std::move(replicas));
    }
    return *client;
  }

  const Options options_;
  const Flags flags_;
  net::Loop loop_;
  std::shared_ptr<rpc::Credentials> credentials_;  // null without --tls-cert
  std::unique_ptr<cluster::Stores> store_;
  std::unique_ptr<cluster::Queues> queue_;
  std::unique_ptr<rpc::Client> spam_, admin_;
  std::unique_ptr<rpc::Server> server_;
  Life life_;
};

}  // namespace

std::unique_ptr<Service> Service::Create(int argc, char** argv, Options options) {
  StopSignal::Block();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  absl::StatusOr<ParsedFlags> parsed = ParseFlags(arguments, options.own_flags);
  if (!parsed.ok()) {
    std::cerr << "posthorn-" << options.process << ": " << base::Message(parsed.status())
              << " (try --help)\n";
    std::exit(2);
  }
  if (parsed->help || parsed->version) {
    std::cout << (parsed->help ? Usage(options.process, options.own_flags)
                               : base::StrCat("posthorn ", Version(), "\n"));
    std::exit(0);
  }
  // Not cleaned up at the end: threads of gRPC's own may shake hands until the very last moment.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  SetUpHeap();
  SetUpMutexes();
  observe::SetUpLog(options.process, ParseLevel(parsed->log_level));
  SetUpScheduling();
  SetUpGrpcLog();
  if (const absl::Status ready = PrepareFiles(parsed->flags, options); !ready.ok()) {
    observe::Error("process.failed", {{"step", "user"}, {"reason", base::Message(ready)}});
    std::exit(1);
  }
  observe::Info("process.start",
                {{"version", Version()}, {"pid", getpid()}, {"open_files", RaiseFileLimit()}});
  auto service = std::make_unique<ServiceImpl>(std::move(options), std::move(parsed->flags));
  if (const absl::Status loaded = service->LoadCredentials(); !loaded.ok()) {
    observe::Error("process.failed", {{"step", "certificates"}, {"reason", base::Message(loaded)}});
    std::exit(1);
  }
  return service;
}

}  // namespace posthorn::process
