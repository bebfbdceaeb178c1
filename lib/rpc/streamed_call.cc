#include "lib/rpc/streamed_call.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::rpc {
namespace {

TraceContext TraceOf(std::string_view bytes) {
  TraceContext trace;
  if (bytes.size() != 25) return trace;
  const auto word = [&bytes](size_t at) {
    uint64_t value = 0;
    for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  trace.trace_high = word(0);
  trace.trace_low = word(8);
  trace.span = word(16);
  trace.sampled = (bytes[24] & 1) != 0;
  return trace;
}

}  // namespace

StreamedCall::StreamedCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method,
                           std::shared_ptr<ServerStream> stream, const Frame& first,
                           std::string_view role)
    : RunningCall(std::move(server), method), stream_(std::move(stream)), id_(first.call) {
  context_.deadline = first.deadline_ms == 0 ? TimePoint::max()
                                             : std::chrono::steady_clock::now() +
                                                   std::chrono::milliseconds(first.deadline_ms);
  context_.ticket = first.ticket;
  context_.trace = TraceOf(first.trace);
  context_.role = role;
}

absl::Status StreamedCall::OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready) {
  if (method().single) return OnSingle(frame);
  if ((frame.flags & kBody) != 0) {
    // The credit bounds what lies here; a caller that ignores it is cut off.
    if (inbox_.size() >= kInitialCredit || half_closed_) {
      return base::Exhausted("more messages than credit");
    }
    inbox_.push_back({slice, frame.body});
  }
  if ((frame.flags & kHalfClose) != 0) half_closed_ = true;
  if ((frame.flags & kCredit) != 0) {
    credit_ = std::min<uint32_t>(credit_ + std::min<uint32_t>(frame.credit, 1024), 1024);
    ready.Add(writer_);
  }
  ready.Add(reader_);
  Run(nullptr);
  return absl::OkStatus();
}

absl::Status StreamedCall::OnSingle(const Frame& frame) {
  if ((frame.flags & kBody) == 0) {
    if ((frame.flags & kHalfClose) != 0) return base::Invalid("a request is missing");
    return absl::OkStatus();
  }
  std::unique_ptr<google::protobuf::MessageLite> request(method().prototype->New());
  RETURN_IF_ERROR(Parse(frame.body, *request));
  Run(std::move(request));
  return absl::OkStatus();
}

net::Task<absl::StatusOr<bool>> StreamedCall::ReadOf(std::shared_ptr<StreamedCall> self,
                                                     google::protobuf::MessageLite& into) {
  while (self->inbox_.empty() && !self->half_closed_ && !self->cancelled()) {
    co_await self->reader_.Wait();
  }
  if (self->cancelled()) co_return self->why_over();
  if (self->inbox_.empty()) co_return false;
  const Body body = std::move(self->inbox_.front());
  self->inbox_.pop_front();
  if (++self->owed_ >= kInitialCredit / 2 && !self->half_closed_) {
    Frame credit;
    credit.call = self->id_;
    credit.flags = kCredit;
    credit.credit = std::exchange(self->owed_, 0);
    self->stream_->Send(credit, nullptr);
  }
  CO_RETURN_IF_ERROR(Parse(body.bytes, into));
  co_return true;
}

net::Task<absl::Status> StreamedCall::WriteOf(std::shared_ptr<StreamedCall> self,
                                              const google::protobuf::MessageLite& message) {
  if (message.ByteSizeLong() > static_cast<size_t>(kLargestMessage) / 2) {
    co_return base::Exhausted("the message is too large for a request stream");
  }
  while (self->credit_ == 0 && !self->cancelled()) co_await self->writer_.Wait();
  if (self->cancelled()) co_return self->why_over();
  --self->credit_;
  Frame frame;
  frame.call = self->id_;
  frame.flags = kBody;
  self->stream_->Send(frame, &message);
  co_return absl::OkStatus();
}

void StreamedCall::Answer(const absl::Status& status, const google::protobuf::MessageLite* reply) {
  Frame frame;
  frame.call = id_;
  frame.flags = kEnd | kHalfClose;
  frame.status = static_cast<uint32_t>(status.code());
  frame.error = base::Message(status);
  if (reply != nullptr && reply->ByteSizeLong() > static_cast<size_t>(kLargestMessage) / 2) {
    frame.status = static_cast<uint32_t>(absl::StatusCode::kResourceExhausted);
    frame.error = "the reply is too large for a request stream";
    reply = nullptr;
  }
  if (reply != nullptr) frame.flags |= kBody;
  stream_->Send(frame, reply);
  stream_->Leave(id_);
}

void StreamedCall::Wake() {
  Ready ready;
  ready.Add(reader_);
  ready.Add(writer_);
  ready.PostAll(server().loop);
}

}  // namespace posthorn::rpc
