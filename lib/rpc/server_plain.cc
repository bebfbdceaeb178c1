#include "lib/rpc/server_plain.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::rpc {
namespace {

std::string Metadata(const grpc::ServerContextBase& context, std::string_view key) {
  const auto& all = context.client_metadata();
  const auto found = all.find(grpc::string_ref(key.data(), key.size()));
  if (found == all.end()) return {};
  return {found->second.data(), found->second.size()};
}

TimePoint DeadlineOf(const grpc::ServerContextBase& context) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  if (left > std::chrono::milliseconds(kLongestTimeoutMs)) return TimePoint::max();
  return std::chrono::steady_clock::now() + left;
}

}  // namespace

PlainCall::PlainCall(std::shared_ptr<ServerState> server, const RegisteredMethod& method,
                     std::unique_ptr<Accepted> accepted)
    : RunningCall(std::move(server), method), accepted_(std::move(accepted)) {
  context_.deadline = DeadlineOf(accepted_->context);
  context_.role = accepted_->role;
  context_.authorization = Metadata(accepted_->context, "authorization");
  context_.trace = TraceContext::Parse(Metadata(accepted_->context, "traceparent"));
  context_.ticket = Metadata(accepted_->context, kTicketKey);
}

void PlainCall::Begin() {
  if (method().single) {
    accepted_->call.Read(&in_, request_.Arm(shared_from_this()));
  } else {
    Run(nullptr);
  }
}

void PlainCall::OnRequest(bool ok) {
  if (server().closed || cancelled()) return;
  if (!ok) return Answer(base::Invalid("a request is missing"), nullptr);
  std::unique_ptr<google::protobuf::MessageLite> request(method().prototype->New());
  const grpc::Slice slice = Flatten(in_);
  const absl::Status parsed = Parse(View(slice), *request);
  if (!parsed.ok()) return Answer(parsed, nullptr);
  Run(std::move(request));
}

void PlainCall::OnDone() {
  const bool late = std::chrono::steady_clock::now() >= context_.deadline;
  Cancel(late ? base::Error(absl::StatusCode::kDeadlineExceeded, "deadline exceeded")
              : base::Error(absl::StatusCode::kCancelled, "the caller is gone"));
}

void PlainCall::Close(const absl::Status& status) {
  if (answered() || cancelled()) return;
  Answer(status, nullptr);
  Cancel(status);
}

net::Task<absl::StatusOr<bool>> PlainCall::ReadOf(std::shared_ptr<PlainCall> self,
                                                  google::protobuf::MessageLite& into) {
  if (self->cancelled()) co_return self->why_over();
  if (self->server().closed) co_return base::Unavailable("shutting down");
  self->reading_ = true;
  self->accepted_->call.Read(&self->in_, self->read_.Arm(self));
  while (self->reading_ && !self->cancelled()) co_await self->reader_.Wait();
  if (self->cancelled()) co_return self->why_over();
  if (!self->read_ok_) co_return false;
  const grpc::Slice slice = Flatten(self->in_);
  CO_RETURN_IF_ERROR(Parse(View(slice), into));
  co_return true;
}

void PlainCall::OnRead(bool ok) {
  reading_ = false;
  read_ok_ = ok;
  Ready ready;
  ready.Add(reader_);
  ready.ResumeAll();
}

net::Task<absl::Status> PlainCall::WriteOf(std::shared_ptr<PlainCall> self,
                                           const google::protobuf::MessageLite& message) {
  if (self->cancelled()) co_return self->why_over();
  if (self->server().closed) co_return base::Unavailable("shutting down");
  self->writing_ = true;
  self->accepted_->call.Write(Serialize(message), self->written_.Arm(self));
  while (self->writing_ && !self->cancelled()) co_await self->writer_.Wait();
  if (self->cancelled()) co_return self->why_over();
  if (!self->write_ok_) co_return base::Error(absl::StatusCode::kCancelled, "the caller is gone");
  co_return absl::OkStatus();
}

void PlainCall::OnWritten(bool ok) {
  writing_ = false;
  write_ok_ = ok;
  Ready ready;
  ready.Add(writer_);
  ready.ResumeAll();
}

void PlainCall::Answer(const absl::Status& status, const google::protobuf::MessageLite* reply) {
  void* const tag = finished_.Arm(shared_from_this());
  if (status.ok() && reply != nullptr) {
    accepted_->call.WriteAndFinish(Serialize(*reply), grpc::WriteOptions(), grpc::Status::OK, tag);
  } else {
    accepted_->call.Finish(ToGrpc(status), tag);
  }
}

void PlainCall::Wake() {
  Ready ready;
  ready.Add(reader_);
  ready.Add(writer_);
  ready.PostAll(server().loop);
}

}  // namespace posthorn::rpc
