#pragma once

// Between gRPC's types and ours. Includes gRPC: for the .cc files of lib/rpc only.

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace posthorn::rpc {

// Both sides refuse larger messages; a request stream's batch is kept far below.
inline constexpr int kLargestMessage = 8 << 20;
// A batch is closed when it has grown beyond this (one large frame may exceed it).
inline constexpr size_t kFullBatch = 1 << 20;
// Messages each side of a call with many messages may send before the other has read one.
inline constexpr uint32_t kInitialCredit = 16;
// The path of posthorn.rpc.v1.RequestStream.Open.
inline constexpr std::string_view kRequestStreamPath = "/posthorn.rpc.v1.RequestStream/Open";
// Metadata that carries a ticket in plain gRPC.
inline constexpr std::string_view kTicketKey = "posthorn-ticket-bin";
// Stands in for "no deadline" in Frame.deadline_ms and towards gRPC: a year.
inline constexpr int64_t kLongestTimeoutMs = int64_t{366} * 24 * 3600 * 1000;

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);
absl::Status FromCode(uint32_t code, std::string_view message);

// The bytes without a copy; `bytes` lives on until gRPC has sent them.
grpc::ByteBuffer ToBuffer(std::string bytes);
grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);
// The bytes in one piece, copied only when they are not already.
grpc::Slice Flatten(grpc::ByteBuffer& buffer);
inline std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}
// kInvalidArgument when `bytes` are not such a message.
absl::Status Parse(std::string_view bytes, google::protobuf::MessageLite& into);

}  // namespace posthorn::rpc
