#pragma once

// Calling another process. Two ways, one interface:
//  - request streams for hot methods (batched, long-lived; see README.md),
//  - plain gRPC for everything else and for outsiders.
// Everything here belongs to one net::Loop.

#include <google/protobuf/message_lite.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/task.h"
#include "lib/rpc/context.h"
#include "lib/rpc/method.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::rpc {

class Credentials;

// How a request stream sends.
enum class Flow {
  // A batch goes out only when all single-message calls of the last one are answered: callers' work gathers
  // into batches by itself (stack.md section 1). For PutMessage, Enqueue, Deliver, CheckMessage.
  kHoldBack,
  // A batch goes out whenever the stream can be written. For reads, Sync, watches, Resolve.
  kFree,
};

// One call with any number of messages each way. Destroying it cancels. Use from one coroutine a direction.
class RawCall {
 public:
  virtual ~RawCall() = default;
  // Suspends while the other side has granted no credit. kUnavailable etc. once the call has ended.
  virtual net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) = 0;
  virtual void WritesDone() = 0;
  // Parses the next message into `into`; false: the call ended well. The final status otherwise.
  virtual net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) = 0;
};

// Of the status of a call on a request stream: it never left this process, and may be made somewhere else.
bool WasNotSent(const absl::Status& status);

class Client {
 public:
  struct Options {
    // "unix:/path" or "host:port" (or any gRPC target).
    std::string target;
    // Sent as metadata for CLI and console callers; empty for processes.
    std::string authorization = {};
    // TLS for targets that are no unix sockets, with a certificate that shows who we are; null: plaintext.
    // A changed certificate moves the client to new connections, without a failed call.
    std::shared_ptr<Credentials> credentials = nullptr;
    // Whom we mean to reach ("store-service"): the server's certificate must say so. Empty: the target's host.
    std::string process = {};
    // A target with a host's name that cannot be reached for this long is looked up anew: gRPC itself asks a
    // name that was unknown for a while ever more rarely, up to every two minutes.
    std::chrono::milliseconds renew_after{4000};
  };
  // Never blocks and never fails: connecting goes on in the background with backoff, calls meanwhile end kUnavailable
  // at their deadline at the latest (wait-for-ready is off for request streams after the first 500 ms).
  static std::unique_ptr<Client> Create(net::Loop& loop, Options options);
  virtual ~Client() = default;

  // `stream` names a request stream of this client ("put", "queue", "sync"): calls with the same name share it and
  // its Flow; an empty name means plain gRPC.
  virtual std::unique_ptr<RawCall> Start(std::string_view path, std::string_view stream, Flow flow,
                                         CallOptions options) = 0;
  // One message each way, the fast path.
  virtual net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, Flow flow,
                                          CallOptions options, const google::protobuf::MessageLite& request,
                                          google::protobuf::MessageLite& reply) = 0;
  // True while the connection is up (READY) or untried, and the server has not said that it ends.
  virtual bool connected() const = 0;

  template <class Q, class R>
  net::Task<absl::StatusOr<R>> Call(Method<Q, R> method, std::string stream, Flow flow, CallOptions options,
                                    Q request) {
    R reply;
    absl::Status status =
        co_await CallRaw(method.path, stream, flow, std::move(options), request, reply);
    if (!status.ok()) co_return status;
    co_return reply;
  }
  // Plain gRPC.
  template <class Q, class R>
  net::Task<absl::StatusOr<R>> Call(Method<Q, R> method, CallOptions options, Q request) {
    return Call(method, std::string(), Flow::kFree, std::move(options), std::move(request));
  }
};

}  // namespace posthorn::rpc
