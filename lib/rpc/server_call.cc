#include "lib/rpc/server_call.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/call_errors.h"

namespace posthorn::rpc {
namespace {

// Calls in progress in one server; beyond it kResourceExhausted.
constexpr size_t kMostRunning = 20000;

}  // namespace

bool RegisteredMethod::Allows(std::string_view role) const {
  return roles.empty() || std::find(roles.begin(), roles.end(), role) != roles.end();
}

absl::Status MethodTable::Add(std::unique_ptr<RegisteredMethod> method) {
  const uint32_t hash = MethodHash(method->path);
  if (by_path_.contains(method->path) || by_hash_.contains(hash)) {
    return base::Exists(base::StrCat("registered twice, or a hash collision: ", method->path));
  }
  const observe::Labels labels = {{"method", method->path}};
  method->calls = observe::NewCounter("posthorn_rpc_server_calls_total", "Calls ended", labels);
  // There from the start, so that a first error shows as a rise.
  CountServerError(method->path, absl::StatusCode::kUnavailable, 0);
  method->seconds = observe::NewHistogram("posthorn_rpc_server_seconds",
                                          "From a call's arrival to its answer", labels);
  by_hash_[hash] = method.get();
  std::string path = method->path;
  by_path_.emplace(std::move(path), std::move(method));
  return absl::OkStatus();
}

const RegisteredMethod* MethodTable::ByPath(std::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : found->second.get();
}

const RegisteredMethod* MethodTable::ByHash(uint32_t hash) const {
  const auto found = by_hash_.find(hash);
  return found == by_hash_.end() ? nullptr : found->second;
}

std::vector<std::string> MethodTable::Services() const {
  std::vector<std::string> services;
  for (const auto& [path, method] : by_path_) {
    // "/package.Service/Method"; the paths are sorted, so a service's methods are neighbours.
    const std::string service = path.substr(1, path.rfind('/') - 1);
    if (services.empty() || services.back() != service) services.push_back(service);
  }
  return services;
}

bool MethodTable::HasService(std::string_view name) const {
  const auto found = by_path_.lower_bound(base::StrCat("/", name, "/"));
  return found != by_path_.end() && found->first.starts_with(base::StrCat("/", name, "/"));
}

absl::Status Admit(const ServerState& server, const RegisteredMethod* method,
                   std::string_view role) {
  if (method == nullptr) {
    return base::Error(absl::StatusCode::kUnimplemented, "no such method");
  }
  if (!method->Allows(role)) {
    return base::Denied(base::StrCat(role.empty() ? "a caller without role" : role,
                                     " may not call ", method->path));
  }
  if (server.draining) return base::Unavailable("shutting down");
  if (server.running >= kMostRunning) return base::Exhausted("too many calls in progress");
  return absl::OkStatus();
}

ServerState::ServerState(net::Loop& on)
    : loop(on),
      left(on),
      running_gauge(observe::NewGauge("posthorn_rpc_server_running",
                                      "Calls whose handlers have not returned")) {}

RunningCall::RunningCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method)
    : server_(std::move(server)), method_(method) {
  ++server_->running;
  server_->momentary += method_.momentary ? 1 : 0;
  server_->running_gauge->Add(1);
}

RunningCall::~RunningCall() {
  server_->running_gauge->Add(-1);
  server_->momentary -= method_.momentary ? 1 : 0;
  if (server_->leaving && !server_->closed) server_->left.NotifyAll();
  if (--server_->running == 0 && server_->idle) server_->idle();
}

void RunningCall::OnCancel(std::function<void()> work) {
  if (cancelled()) {
    server_->loop.Post(std::move(work));
  } else {
    on_cancel_.push_back(std::move(work));
  }
}

void RunningCall::Cancel(absl::Status why) {
  if (answered_ || cancelled()) return;
  why_over_ = std::move(why);
  Wake();
  for (auto& work : std::exchange(on_cancel_, {})) server_->loop.Post(std::move(work));
}

void RunningCall::Run(std::unique_ptr<google::protobuf::MessageLite> request) {
  if (std::exchange(started_, true)) return;
  if (context_.trace.sampled) {
    span_ = Span(context_.trace, std::string_view(method_.path).substr(1), Span::Kind::kServer);
    context_.trace = span_.context();
  }
  if (method_.single) {
    server_->loop.Spawn("rpc.call", RunSingle(shared_from_this(), std::move(request)));
  } else {
    server_->loop.Spawn("rpc.call", RunMany(shared_from_this()));
  }
}

net::Task<void> RunningCall::RunSingle(std::shared_ptr<RunningCall> self,
                                       std::unique_ptr<google::protobuf::MessageLite> request) {
  Server::RawReply reply = base::Internal("the handler failed");
  try {
    reply = co_await self->method_.single(self->context_, std::move(request));
  } catch (...) {
    self->Done(base::Internal("the handler failed"), nullptr);
    throw;  // Spawn logs and counts it
  }
  self->Done(reply.status(), reply.ok() ? reply->get() : nullptr);
}

net::Task<void> RunningCall::RunMany(std::shared_ptr<RunningCall> self) {
  absl::Status status;
  try {
    status = co_await self->method_.many(*self);
  } catch (...) {
    self->Done(base::Internal("the handler failed"), nullptr);
    throw;
  }
  self->Done(status, nullptr);
}

void RunningCall::Done(const absl::Status& status, const google::protobuf::MessageLite* reply) {
  answered_ = true;
  on_cancel_.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
  method_.calls->Add();
  method_.seconds->Observe(took.count());
  const absl::StatusCode code = cancelled() ? why_over_.code() : status.code();
  if (code != absl::StatusCode::kOk && code != absl::StatusCode::kCancelled)
    CountServerError(method_.path, code);
  if (code != absl::StatusCode::kOk) span_.Fail(CodeName(code));
  span_.End();
  if (!cancelled() && !server_->closed) Answer(status, reply);
}

}  // namespace posthorn::rpc
