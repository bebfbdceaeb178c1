#include "lib/rpc/wire.h"

#include "lib/base/strings.h"

namespace posthorn::rpc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(base::Message(status))};
}

absl::Status FromGrpc(const grpc::Status& status) {
  return FromCode(static_cast<uint32_t>(status.error_code()), status.error_message());
}

absl::Status FromCode(uint32_t code, std::string_view message) {
  if (code == 0) return absl::OkStatus();
  // Codes beyond those that both know are kUnknown, as in gRPC.
  if (code > static_cast<uint32_t>(absl::StatusCode::kUnauthenticated)) code = 2;
  return base::Error(static_cast<absl::StatusCode>(code), message);
}

grpc::ByteBuffer ToBuffer(std::string bytes) {
  auto* const owned = new std::string(std::move(bytes));
  const grpc::Slice slice(
      owned->data(), owned->size(), [](void* data) { delete static_cast<std::string*>(data); },
      owned);
  return {&slice, 1};
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  const grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  return {&slice, 1};
}

grpc::Slice Flatten(grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.TrySingleSlice(&slice).ok()) buffer.DumpToSingleSlice(&slice);
  return slice;
}

absl::Status Parse(std::string_view bytes, google::protobuf::MessageLite& into) {
  if (into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return base::Invalid(base::StrCat("not a valid ", into.GetTypeName()));
}

}  // namespace posthorn::rpc
