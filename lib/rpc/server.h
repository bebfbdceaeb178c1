#pragma once

// Answering other processes. One handler a method, reached by plain gRPC and by request streams alike.
// Handlers are coroutines on the Loop given to Create; authorisation by role, deadlines, cancellation, trace
// context and metrics (calls, errors, duration by method) are done here, once.

#include <google/protobuf/message_lite.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "lib/rpc/context.h"
#include "lib/rpc/method.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::rpc {

class Credentials;

// The server's side of a call with many messages. Valid until the handler returns.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  virtual const CallContext& context() const = 0;
  // False at the client's half close; kCancelled when the caller went away, kDeadlineExceeded at the deadline.
  virtual net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) = 0;
  // Suspends while the client has granted no credit.
  virtual net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) = 0;
  // True once the caller is gone.
  virtual bool cancelled() const = 0;
  // Runs once when the caller goes away or the deadline passes; for handlers that wait on something else.
  virtual void OnCancel(std::function<void()> work) = 0;
};

class Server {
 public:
  struct Options {
    // "unix:/path" or "host:port". Either may carry a role: callers are whom the file's mode, or the network,
    // lets in. With credentials the role of a caller over TCP is its certificate's, whatever stands here.
    struct Address {
      std::string listen;
      std::string role;        // CallContext.role of its callers
      uint32_t mode = 0660;    // of the socket's file
    };
    std::vector<Address> addresses;
    std::string process;
    // Every TCP address demands certificates; null: they are plaintext.
    std::shared_ptr<Credentials> credentials = nullptr;
  };
  static std::unique_ptr<Server> Create(net::Loop& loop, Options options);
  virtual ~Server() = default;  // Stop() was called or is implied

  // Before Start. `roles` that may call; empty: any.
  template <class Q, class R>
  void Handle(Method<Q, R> method, std::vector<std::string> roles,
              std::function<net::Task<absl::StatusOr<R>>(const CallContext&, Q)> handler) {
    HandleRaw(method.path, std::move(roles), Q::default_instance(),
              [handler = std::move(handler)](
                  const CallContext& context,
                  std::unique_ptr<google::protobuf::MessageLite> request) -> net::Task<RawReply> {
                return Invoke<Q, R>(handler, context, std::move(request));
              });
  }
  // A call that lasts is ended when the server ends; one that answers soon is waited for, as those of Handle are.
  enum class Lasts { kLong, kAMoment };
  template <class Q, class R>
  void HandleStream(Method<Q, R> method, std::vector<std::string> roles,
                    std::function<net::Task<absl::Status>(ServerCall&)> handler, Lasts lasts = Lasts::kLong) {
    HandleStreamRaw(method.path, std::move(roles), std::move(handler), lasts);
  }

  using RawReply = absl::StatusOr<std::unique_ptr<google::protobuf::MessageLite>>;
  using RawHandler = std::function<net::Task<RawReply>(const CallContext&,
                                                       std::unique_ptr<google::protobuf::MessageLite>)>;
  virtual void HandleRaw(std::string_view path, std::vector<std::string> roles,
                         const google::protobuf::MessageLite& prototype, RawHandler handler) = 0;
  virtual void HandleStreamRaw(std::string_view path, std::vector<std::string> roles,
                               std::function<net::Task<absl::Status>(ServerCall&)> handler, Lasts lasts) = 0;
  // gRPC server reflection (v1alpha) for the services of registered methods.
  virtual void EnableReflection() = 0;
  // grpc.health.v1: what Check and Watch answer; also sets lib/observe's readiness source.
  virtual void SetServing(bool serving) = 0;

  // Binds and serves. kUnavailable with the address when it cannot bind.
  virtual absl::Status Start() = 0;
  // Tells the clients of request streams to begin no further calls here, and waits until none will and those that do
  // not last are answered, at most `limit`. Calls are taken as before. On the loop.
  virtual net::Task<void> Leave(std::chrono::milliseconds limit) = 0;
  // No new calls; running ones get until `grace`, then kUnavailable. Blocks the caller, not the loop's handlers:
  // call it from another thread or after Loop::Run returned.
  virtual void Stop(std::chrono::milliseconds grace) = 0;
  // The bound port of addresses[i] ("host:0" in tests).
  virtual int port(size_t i) const = 0;

 private:
  template <class Q, class R>
  static net::Task<RawReply> Invoke(
      std::function<net::Task<absl::StatusOr<R>>(const CallContext&, Q)> handler, CallContext context,
      std::unique_ptr<google::protobuf::MessageLite> request) {
    absl::StatusOr<R> reply = co_await handler(context, std::move(*static_cast<Q*>(request.get())));
    if (!reply.ok()) co_return reply.status();
    co_return RawReply(std::unique_ptr<google::protobuf::MessageLite>(new R(*std::move(reply))));
  }
};

}  // namespace posthorn::rpc
