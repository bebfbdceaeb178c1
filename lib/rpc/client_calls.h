#pragma once

// Calls of a Client, over a request stream or as plain gRPC. Each `Raw…` is the handle its user
// holds; what the transport needs lives on until its last operation is done.

#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>

#include "lib/rpc/client.h"
#include "lib/rpc/client_stream.h"

namespace posthorn::rpc {

// CallOptions.timeout as a point in time.
TimePoint DeadlineOf(const CallOptions& options);
// When a call with this deadline gives up waiting for its connection, from now on.
TimePoint ConnectedBy(const CallOptions& options, TimePoint deadline);
// The trace context as in Frame.trace; empty for none.
std::string TraceBytes(const TraceContext& trace);

// One message each way on a request stream. `request` and `reply` outlive the task.
net::Task<absl::Status> CallOnStream(std::shared_ptr<ClientStream> stream, std::string_view path,
                                     CallOptions options,
                                     const google::protobuf::MessageLite& request,
                                     google::protobuf::MessageLite& reply);
std::unique_ptr<RawCall> StartOnStream(net::Loop& loop, std::shared_ptr<ClientStream> stream,
                                       std::string_view path, CallOptions options);

// What plain calls share: channel, queue, and the calls that the client ends when it goes.
class PlainCalls : public std::enable_shared_from_this<PlainCalls> {
 public:
  // A call that can be ended from here.
  class Member {
   public:
    virtual ~Member() = default;
    virtual void Close() = 0;
  };
  PlainCalls(net::Loop& loop, std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue& queue,
             std::string authorization)
      : loop_(loop),
        channel_(std::move(channel)),
        stub_(channel_),
        queue_(queue),
        authorization_(std::move(authorization)) {}

  net::Task<absl::Status> Call(std::string path, CallOptions options,
                               const google::protobuf::MessageLite& request,
                               google::protobuf::MessageLite& reply);
  std::unique_ptr<RawCall> Start(std::string path, CallOptions options);
  void Close();

  bool ready() const { return channel_->GetState(true) == GRPC_CHANNEL_READY; }
  // Gives a server that starts a moment, so that a call does not fail because it came first. Returns when the channel
  // is ready, or at `limit`.
  static net::Task<void> WaitUntilReady(std::shared_ptr<PlainCalls> self, TimePoint limit);

  net::Loop& loop() { return loop_; }
  bool closed() const { return closed_; }
  bool idle() const;
  grpc::GenericStub& stub() { return stub_; }
  grpc::CompletionQueue& queue() { return queue_; }
  void Prepare(grpc::ClientContext& context, const CallOptions& options) const;
  void Add(std::shared_ptr<Member> member);
  void Remove(const Member* member);

 private:
  net::Loop& loop_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue& queue_;
  std::string authorization_;
  std::vector<std::weak_ptr<Member>> members_;
  bool closed_ = false;
};

}  // namespace posthorn::rpc
