#pragma once

// The server's end of one request stream.

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "lib/rpc/completion.h"
#include "lib/rpc/frame.h"
#include "lib/rpc/server_call.h"
#include "lib/rpc/waiter.h"
#include "lib/rpc/wire.h"

namespace posthorn::rpc {

class StreamedCall;

// One accepted gRPC call, whatever it will be. Kept alive by the operations under way.
struct Accepted {
  std::shared_ptr<grpc::Server> server;  // its code runs when an operation completes
  grpc::GenericServerContext context;
  grpc::GenericServerAsyncReaderWriter call{&context};
  std::string role;
};

class ServerStream : public std::enable_shared_from_this<ServerStream> {
 public:
  ServerStream(std::shared_ptr<ServerState> server, std::unique_ptr<Accepted> accepted);

  ~ServerStream();

  void Begin();
  // Tells the client to begin no further calls.
  void AskToLeave();
  // Ends the stream and its calls.
  void Close(const absl::Status& status);
  void OnDone();

  // For its calls.
  void Send(const Frame& frame, const google::protobuf::MessageLite* message);
  void Leave(uint64_t id) { calls_.erase(id); }
  bool over() const { return over_; }

 private:
  void StartRead();
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool) {}
  void OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready);
  // The client begins no more calls.
  void OnLeft();
  void BeginCall(const Frame& frame, const grpc::Slice& slice, Ready& ready);
  void Refuse(uint64_t id, const absl::Status& status);
  void ScheduleFlush();
  void Flush();
  void EndCalls(const absl::Status& status);
  TimePoint Expire(TimePoint now);

  std::shared_ptr<ServerState> server_;
  std::unique_ptr<Accepted> accepted_;
  grpc::ByteBuffer in_;
  std::unordered_map<uint64_t, std::shared_ptr<StreamedCall>> calls_;
  Deadlines deadlines_;
  std::deque<std::string> out_;
  bool writing_ = false;
  bool flush_scheduled_ = false;
  bool over_ = false;
  bool left_ = false;
  Tag read_{Completion<&ServerStream::OnRead>};
  Tag written_{Completion<&ServerStream::OnWritten>};
  Tag finished_{Completion<&ServerStream::OnFinished>};
};

}  // namespace posthorn::rpc
