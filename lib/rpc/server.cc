#include "lib/rpc/server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_posix.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/channel_credentials.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/health.h"
#include "lib/rpc/incoming.h"
#include "lib/rpc/reflection.h"
#include "lib/rpc/role_listener.h"

namespace posthorn::rpc {
namespace {

constexpr std::string_view kUnix = "unix:";

// gRPC does not say on which of its ports a call came in: it binds only those whose callers have no
// role, or have it from their certificates.
bool GrpcBinds(const Server::Options& options, const Server::Options::Address& address) {
  return (address.role.empty() || options.credentials) && !address.listen.starts_with(kUnix);
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]:") ||
         address.starts_with("localhost:");
}

void Configure(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kLargestMessage);
  builder.SetMaxSendMessageSize(kLargestMessage);
  // Two servers on one port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // What our clients' keepalive needs (line.cc).
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Who connects and says nothing.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
}

class ServerImpl : public Server {
 public:
  ServerImpl(net::Loop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        completions_(Completions::For(loop)),
        state_(std::make_shared<ServerState>(loop)),
        ports_(options_.addresses.size(), 0),
        health_(std::make_shared<Health>(loop)) {
    Health::Register(health_, *this, [state = state_.get()](std::string_view service) {
      return service.empty() || state->methods.HasService(service);
    });
  }
  ~ServerImpl() override { Stop(std::chrono::milliseconds(0)); }

  void HandleRaw(std::string_view path, std::vector<std::string> roles,
                 const google::protobuf::MessageLite& prototype, RawHandler handler) override {
    auto method = std::make_unique<RegisteredMethod>();
    method->path = path;
    method->roles = std::move(roles);
    method->prototype = &prototype;
    method->single = std::move(handler);
    Register(std::move(method));
  }
  void HandleStreamRaw(std::string_view path, std::vector<std::string> roles,
                       std::function<net::Task<absl::Status>(ServerCall&)> handler,
                       Lasts lasts) override {
    auto method = std::make_unique<RegisteredMethod>();
    method->path = path;
    method->roles = std::move(roles);
    method->many = std::move(handler);
    method->momentary = lasts == Lasts::kAMoment;
    Register(std::move(method));
  }
  void EnableReflection() override {
    RegisterReflection(*this, [state = state_.get()] { return state->methods.Services(); });
  }
  void SetServing(bool serving) override { health_->Set(serving); }

  absl::Status Start() override;
  net::Task<void> Leave(std::chrono::milliseconds limit) override {
    if (incoming_) incoming_->AskToLeave();
    return LeftBy(state_, std::chrono::steady_clock::now() + limit);
  }
  void Stop(std::chrono::milliseconds grace) override;
  int port(size_t i) const override { return ports_.at(i); }

 private:
  void Register(std::unique_ptr<RegisteredMethod> method) {
    const absl::Status status = state_->methods.Add(std::move(method));
    if (!status.ok() && registration_.ok()) registration_ = status;
  }
  static net::Task<void> LeftBy(std::shared_ptr<ServerState> state, TimePoint limit) {
    while (state->staying > 0 || state->momentary > 0) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          limit - std::chrono::steady_clock::now());
      if (left.count() <= 0) co_return;
      (void)co_await state->left.WaitFor(left);
    }
  }
  void AddPorts(grpc::ServerBuilder& builder);
  void TellPlaintext() const;
  absl::Status BindRoles();
  // Runs `work` on the loop and waits for it; here when the loop does not run.
  void OnLoop(const std::function<void()>& work);
  void Drain(std::chrono::milliseconds grace);

  net::Loop& loop_;
  const Options options_;
  std::shared_ptr<Completions> completions_;
  std::shared_ptr<ServerState> state_;
  absl::Status registration_;
  std::vector<int> ports_;
  std::shared_ptr<Health> health_;
  std::shared_ptr<IncomingCalls> incoming_;
  std::vector<std::unique_ptr<RoleListener>> listeners_;
  // gRPC's core asks them for certificates as long as there is a server.
  std::shared_ptr<grpc::ServerCredentials> grpc_credentials_;
  std::shared_ptr<grpc::Server> server_;
};

void ServerImpl::AddPorts(grpc::ServerBuilder& builder) {
  grpc_credentials_ = options_.credentials ? ServerCredentialsOf(options_.credentials->source())
                                           : grpc::InsecureServerCredentials();
  if (options_.credentials) incoming_->DemandCertificates();
  for (size_t i = 0; i < options_.addresses.size(); ++i) {
    const Options::Address& address = options_.addresses[i];
    if (!GrpcBinds(options_, address)) continue;
    builder.AddListeningPort(address.listen, grpc_credentials_, &ports_[i]);
  }
}

// Once, of the address that says most about it.
void ServerImpl::TellPlaintext() const {
  const auto plaintext = [this](const Options::Address& address) {
    return !options_.credentials && !address.listen.starts_with(kUnix);
  };
  const auto far = std::ranges::find_if(options_.addresses, [&](const Options::Address& address) {
    return plaintext(address) && !IsLoopback(address.listen);
  });
  const auto any = std::ranges::find_if(options_.addresses, plaintext);
  if (far != options_.addresses.end()) {
    observe::Warning("rpc.plaintext",
                     {{"address", far->listen},
                      {"reason",
                       "no certificates: whoever is on the way reads along, and callers "
                       "are believed"}});
  } else if (any != options_.addresses.end()) {
    observe::Info("rpc.plaintext", {{"address", any->listen}});
  }
}

absl::Status ServerImpl::BindRoles() {
  for (size_t i = 0; i < options_.addresses.size(); ++i) {
    const Options::Address& address = options_.addresses[i];
    if (GrpcBinds(options_, address)) continue;
    const int first = FirstDescriptor(i, options_.addresses.size());
    auto listener =
        address.listen.starts_with(kUnix)
            ? RoleListener::Bind(loop_, address.listen.substr(kUnix.size()), address.mode, first)
            : RoleListener::BindTcp(loop_, address.listen, first, ports_[i]);
    if (!listener.ok()) return listener.status();
    incoming_->AddRole(first, kDescriptorsOfAListener, address.role);
    listeners_.push_back(*std::move(listener));
  }
  return absl::OkStatus();
}

absl::Status ServerImpl::Start() {
  if (!registration_.ok()) return registration_;
  std::unique_ptr<grpc::ServerBuilder> builder = completions_->TakeBuilder();
  if (!builder) {
    // This loop had a server before: its queue belongs to that one.
    completions_ = Completions::New(loop_);
    builder = completions_->TakeBuilder();
  }
  incoming_ = std::make_shared<IncomingCalls>(state_, completions_->queue());
  Configure(*builder);
  builder->RegisterAsyncGenericService(&incoming_->service());
  AddPorts(*builder);
  TellPlaintext();
  if (absl::Status status = BindRoles(); !status.ok()) {
    listeners_.clear();
    return status;
  }
  server_ = std::shared_ptr<grpc::Server>(
      builder->BuildAndStart().release(),
      [credentials = grpc_credentials_](grpc::Server* server) { delete server; });
  if (!server_) {
    listeners_.clear();
    std::string all;
    for (const Options::Address& address : options_.addresses) {
      base::StrAppend(all, " ", address.listen);
    }
    return base::Unavailable(base::StrCat("cannot listen on one of", all));
  }
  incoming_->Begin(server_);
  for (const auto& listener : listeners_) {
    listener->Listen([this](int fd) { grpc::AddInsecureChannelFromFd(server_.get(), fd); });
  }
  return absl::OkStatus();
}

void ServerImpl::OnLoop(const std::function<void()>& work) {
  if (!loop_.Running() || loop_.OnThread()) return work();
  struct Rendezvous {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    bool abandoned = false;
  };
  const auto meeting = std::make_shared<Rendezvous>();
  loop_.Post([meeting, work] {
    const std::lock_guard lock(meeting->mutex);
    if (meeting->abandoned) return;
    work();
    meeting->done = true;
    meeting->changed.notify_all();
  });
  std::unique_lock lock(meeting->mutex);
  while (!meeting->done) {
    meeting->changed.wait_for(lock, std::chrono::milliseconds(20));
    if (meeting->done || loop_.Running()) continue;
    // The loop stopped meanwhile.
    meeting->abandoned = true;
    return work();
  }
}

void ServerImpl::Drain(std::chrono::milliseconds grace) {
  struct Idle {
    std::mutex mutex;
    std::condition_variable changed;
    bool idle = false;
  };
  const auto idle = std::make_shared<Idle>();
  OnLoop([this, idle] {
    state_->draining = true;
    const auto now_idle = [idle] {
      const std::lock_guard lock(idle->mutex);
      idle->idle = true;
      idle->changed.notify_all();
    };
    if (state_->running == 0) return now_idle();
    state_->idle = now_idle;
  });
  // Without a running loop no handler gets on.
  if (!loop_.Running() || loop_.OnThread()) return;
  std::unique_lock lock(idle->mutex);
  idle->changed.wait_for(lock, grace, [&idle] { return idle->idle; });
}

void ServerImpl::Stop(std::chrono::milliseconds grace) {
  if (!server_) return;
  OnLoop([this] { listeners_.clear(); });
  Drain(grace);
  OnLoop([this] {
    state_->idle = nullptr;
    incoming_->Close(base::Unavailable("shutting down"));
  });
  // What was just told gets a moment to reach the callers. Somebody has to drive gRPC meanwhile.
  if (!loop_.Running() || loop_.OnThread()) completions_->ServeByThread();
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  server_.reset();
  OnLoop([this] { completions_.reset(); });
}

}  // namespace

std::unique_ptr<Server> Server::Create(net::Loop& loop, Options options) {
  return std::make_unique<ServerImpl>(loop, std::move(options));
}

}  // namespace posthorn::rpc
