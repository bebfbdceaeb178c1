#pragma once

// What the server's two transports share: the table of methods, and a call in progress.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/net/loop.h"
#include "lib/rpc/deadlines.h"
#include "lib/rpc/server.h"
#include "lib/rpc/span.h"

namespace posthorn::observe {
class Counter;
class Gauge;
class Histogram;
}  // namespace posthorn::observe

namespace posthorn::rpc {

struct RegisteredMethod {
  std::string path;
  std::vector<std::string> roles;
  // Its calls are answered soon.
  bool momentary = true;
  // One of the two is set.
  Server::RawHandler single;
  std::function<net::Task<absl::Status>(ServerCall&)> many;
  const google::protobuf::MessageLite* prototype = nullptr;  // of `single`'s request
  observe::Counter* calls = nullptr;
  observe::Histogram* seconds = nullptr;

  bool Allows(std::string_view role) const;
};

class MethodTable {
 public:
  // kAlreadyExists when the path, or another one with its hash, is registered.
  absl::Status Add(std::unique_ptr<RegisteredMethod> method);
  const RegisteredMethod* ByPath(std::string_view path) const;
  const RegisteredMethod* ByHash(uint32_t hash) const;
  // Full names of the services with a method here.
  std::vector<std::string> Services() const;
  bool HasService(std::string_view name) const;

 private:
  std::map<std::string, std::unique_ptr<RegisteredMethod>, std::less<>> by_path_;
  std::unordered_map<uint32_t, const RegisteredMethod*> by_hash_;
};

class RunningCall;

// State of one server, shared by its transports; the loop's thread only.
struct ServerState {
  explicit ServerState(net::Loop& on);
  net::Loop& loop;
  MethodTable methods;
  // No new calls: they end kUnavailable.
  bool draining = false;
  // Nothing may touch gRPC any more.
  bool closed = false;
  size_t running = 0;
  observe::Gauge* running_gauge;
  // Called when `running` has become 0.
  std::function<void()> idle;
  // Clients are told to begin no further calls; request streams whose clients have not said yet that they do not.
  net::Signal left;
  bool leaving = false;
  size_t staying = 0;
  size_t momentary = 0;  // of `running`
};

// A call from its first frame until its handler has returned. The transport derives from it.
class RunningCall : public ServerCall, public std::enable_shared_from_this<RunningCall> {
 public:
  RunningCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method);
  ~RunningCall() override;

  const CallContext& context() const override { return context_; }
  bool cancelled() const override { return !why_over_.ok(); }
  void OnCancel(std::function<void()> work) override;

  // Starts the handler; `request` for methods with a single request.
  void Run(std::unique_ptr<google::protobuf::MessageLite> request);
  // The caller is gone or too late: later answers are dropped. Nothing after the first time.
  void Cancel(absl::Status why);
  const RegisteredMethod& method() const { return method_; }

 protected:
  // The handler has answered, and the caller still waits. `reply` may be null.
  virtual void Answer(const absl::Status& status, const google::protobuf::MessageLite* reply) = 0;
  // Wakes whatever waits in Read and Write.
  virtual void Wake() = 0;

  bool answered() const { return answered_; }
  const absl::Status& why_over() const { return why_over_; }
  ServerState& server() { return *server_; }

  CallContext context_;

 private:
  static net::Task<void> RunSingle(std::shared_ptr<RunningCall> self,
                                   std::unique_ptr<google::protobuf::MessageLite> request);
  static net::Task<void> RunMany(std::shared_ptr<RunningCall> self);
  void Done(const absl::Status& status, const google::protobuf::MessageLite* reply);

  std::shared_ptr<ServerState> server_;
  const RegisteredMethod& method_;
  const TimePoint begun_ = std::chrono::steady_clock::now();
  absl::Status why_over_;
  bool started_ = false;
  bool answered_ = false;
  std::vector<std::function<void()>> on_cancel_;
  Span span_;
};

// Whether a call of `method` by `role` may begin now.
absl::Status Admit(const ServerState& server, const RegisteredMethod* method,
                   std::string_view role);

}  // namespace posthorn::rpc
