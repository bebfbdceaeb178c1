#include "lib/rpc/server_stream.h"

#include "lib/base/strings.h"
#include "lib/rpc/streamed_call.h"

namespace posthorn::rpc {

ServerStream::ServerStream(std::shared_ptr<ServerState> server, std::unique_ptr<Accepted> accepted)
    : server_(std::move(server)),
      accepted_(std::move(accepted)),
      deadlines_(server_->loop, [this](TimePoint now) { return Expire(now); }) {
  ++server_->staying;
}

ServerStream::~ServerStream() { OnLeft(); }

void ServerStream::Begin() {
  StartRead();
  if (server_->leaving) AskToLeave();
}

void ServerStream::AskToLeave() {
  Frame frame;
  frame.flags = kEnd;
  Send(frame, nullptr);
}

void ServerStream::OnLeft() {
  if (std::exchange(left_, true)) return;
  --server_->staying;
  if (server_->leaving && !server_->closed) server_->left.NotifyAll();
}

void ServerStream::StartRead() { accepted_->call.Read(&in_, read_.Arm(shared_from_this())); }

void ServerStream::Close(const absl::Status& status) {
  if (over_) return;
  over_ = true;
  OnLeft();
  deadlines_.Stop();
  // A stream that ends well may still have calls that nobody waits for.
  EndCalls(status.ok() ? base::Error(absl::StatusCode::kCancelled, "the caller is gone") : status);
  if (!server_->closed) accepted_->call.Finish(ToGrpc(status), finished_.Arm(shared_from_this()));
}

// The client, the connection or the stream is gone.
void ServerStream::OnDone() {
  if (over_) return;
  over_ = true;
  OnLeft();
  deadlines_.Stop();
  EndCalls(base::Error(absl::StatusCode::kCancelled, "the caller is gone"));
}

void ServerStream::EndCalls(const absl::Status& status) {
  for (const auto& [id, call] : std::exchange(calls_, {})) call->Cancel(status);
}

void ServerStream::OnRead(bool ok) {
  if (over_ || server_->closed) return;
  // The client's half close ends the stream: it sends that only when it has no calls left to wait
  // for.
  if (!ok) return Close(absl::OkStatus());
  const grpc::Slice slice = Flatten(in_);
  StartRead();
  Ready ready;
  FrameReader frames(View(slice));
  Frame frame;
  while (frames.Next(frame)) OnFrame(frame, slice, ready);
  if (frames.broken()) Close(base::Invalid("damaged batch"));
  ready.ResumeAll();
}

void ServerStream::OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready) {
  if ((frame.flags & kFirst) != 0) return BeginCall(frame, slice, ready);
  if (frame.call == 0) return OnLeft();
  const auto found = calls_.find(frame.call);
  if (found == calls_.end()) return;  // it ended while this was under way
  const std::shared_ptr<StreamedCall> call = found->second;
  if ((frame.flags & kEnd) != 0) {
    calls_.erase(found);
    return call->Cancel(base::Error(absl::StatusCode::kCancelled, "cancelled by the caller"));
  }
  const absl::Status status = call->OnFrame(frame, slice, ready);
  if (status.ok()) return;
  calls_.erase(frame.call);
  Refuse(frame.call, status);
  call->Cancel(status);
}

void ServerStream::BeginCall(const Frame& frame, const grpc::Slice& slice, Ready& ready) {
  const RegisteredMethod* const method = server_->methods.ByHash(frame.method);
  absl::Status status = Admit(*server_, method, accepted_->role);
  if (status.ok() && calls_.contains(frame.call)) status = base::Invalid("call number in use");
  if (!status.ok()) return Refuse(frame.call, status);
  auto call =
      std::make_shared<StreamedCall>(server_, *method, shared_from_this(), frame, accepted_->role);
  const TimePoint deadline = call->context().deadline;
  if (deadline != TimePoint::max()) deadlines_.Consider(deadline);
  // Listed first: the handler may run to its end in here, and then takes the call out again.
  calls_.emplace(frame.call, call);
  status = call->OnFrame(frame, slice, ready);
  if (status.ok()) return;
  calls_.erase(frame.call);
  Refuse(frame.call, status);
}

void ServerStream::Refuse(uint64_t id, const absl::Status& status) {
  Frame frame;
  frame.call = id;
  frame.flags = kEnd;
  frame.status = static_cast<uint32_t>(status.code());
  frame.error = base::Message(status);
  Send(frame, nullptr);
}

TimePoint ServerStream::Expire(TimePoint now) {
  TimePoint next = TimePoint::max();
  std::vector<std::shared_ptr<StreamedCall>> late;
  for (const auto& [id, call] : calls_) {
    if (call->context().deadline <= now) {
      late.push_back(call);
    } else {
      next = std::min(next, call->context().deadline);
    }
  }
  const absl::Status status = base::Error(absl::StatusCode::kDeadlineExceeded, "deadline exceeded");
  for (const auto& call : late) {
    Refuse(call->id(), status);
    calls_.erase(call->id());
    call->Cancel(status);
  }
  return next;
}

void ServerStream::Send(const Frame& frame, const google::protobuf::MessageLite* message) {
  if (over_ || server_->closed) return;
  if (out_.empty() || out_.back().size() >= kFullBatch) out_.emplace_back();
  AppendFrame(out_.back(), frame, message);
  ScheduleFlush();
}

void ServerStream::ScheduleFlush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  server_->loop.AtTurnEnd([self = shared_from_this()] {
    self->flush_scheduled_ = false;
    self->Flush();
  });
}

void ServerStream::Flush() {
  if (writing_ || out_.empty() || over_ || server_->closed) return;
  writing_ = true;
  std::string bytes = std::move(out_.front());
  out_.pop_front();
  accepted_->call.Write(ToBuffer(std::move(bytes)), written_.Arm(shared_from_this()));
}

void ServerStream::OnWritten(bool ok) {
  writing_ = false;
  // A failed write: the connection is gone, and OnDone is under way.
  if (ok && !out_.empty()) ScheduleFlush();
}

}  // namespace posthorn::rpc
