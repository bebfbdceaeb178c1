#pragma once

// A call that came over a request stream.

#include <deque>
#include <memory>

#include "lib/rpc/server_stream.h"
#include "lib/rpc/waiter.h"

namespace posthorn::rpc {

class StreamedCall : public RunningCall {
 public:
  StreamedCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method,
               std::shared_ptr<ServerStream> stream, const Frame& first, std::string_view role);

  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    return ReadOf(Self(), into);
  }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    return WriteOf(Self(), message);
  }

  uint64_t id() const { return id_; }
  // A frame of this call, the first one included; other than OK: the call has to end with it.
  absl::Status OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready);

 protected:
  void Answer(const absl::Status& status, const google::protobuf::MessageLite* reply) override;
  void Wake() override;

 private:
  struct Body {
    grpc::Slice slice;
    std::string_view bytes;
  };
  std::shared_ptr<StreamedCall> Self() {
    return std::static_pointer_cast<StreamedCall>(shared_from_this());
  }
  static net::Task<absl::StatusOr<bool>> ReadOf(std::shared_ptr<StreamedCall> self,
                                                google::protobuf::MessageLite& into);
  static net::Task<absl::Status> WriteOf(std::shared_ptr<StreamedCall> self,
                                         const google::protobuf::MessageLite& message);
  absl::Status OnSingle(const Frame& frame);

  std::shared_ptr<ServerStream> stream_;
  const uint64_t id_;
  std::deque<Body> inbox_;
  bool half_closed_ = false;
  uint32_t credit_ = kInitialCredit;
  uint32_t owed_ = 0;
  Waiter reader_;
  Waiter writer_;
};

}  // namespace posthorn::rpc
