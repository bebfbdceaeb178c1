#pragma once

// A call that came as plain gRPC.

#include <deque>
#include <memory>

#include "lib/rpc/server_stream.h"
#include "lib/rpc/waiter.h"

namespace posthorn::rpc {

class PlainCall : public RunningCall {
 public:
  PlainCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method,
            std::unique_ptr<Accepted> accepted);

  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    return ReadOf(Self(), into);
  }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    return WriteOf(Self(), message);
  }
  void Begin();
  // The caller or the connection is gone.
  void OnDone();
  // Ends the call from this side.
  void Close(const absl::Status& status);

 protected:
  void Answer(const absl::Status& status, const google::protobuf::MessageLite* reply) override;
  void Wake() override;

 private:
  std::shared_ptr<PlainCall> Self() {
    return std::static_pointer_cast<PlainCall>(shared_from_this());
  }
  static net::Task<absl::StatusOr<bool>> ReadOf(std::shared_ptr<PlainCall> self,
                                                google::protobuf::MessageLite& into);
  static net::Task<absl::Status> WriteOf(std::shared_ptr<PlainCall> self,
                                         const google::protobuf::MessageLite& message);
  void StartRead();
  void OnRead(bool ok);
  void OnRequest(bool ok);
  void OnWritten(bool ok);
  void OnFinished(bool) {}

  std::unique_ptr<Accepted> accepted_;
  grpc::ByteBuffer in_;
  bool reading_ = false;
  bool read_ok_ = false;
  bool writing_ = false;
  bool write_ok_ = true;
  Waiter reader_;
  Waiter writer_;
  Tag request_{Completion<&PlainCall::OnRequest>};
  Tag read_{Completion<&PlainCall::OnRead>};
  Tag written_{Completion<&PlainCall::OnWritten>};
  Tag finished_{Completion<&PlainCall::OnFinished>};
};

}  // namespace posthorn::rpc
