#include <cstring>
#include <deque>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/call_errors.h"
#include "lib/rpc/client_calls.h"

namespace posthorn::rpc {
namespace {

uint32_t MillisLeft(TimePoint deadline) {
  if (deadline == TimePoint::max()) return 0;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<uint32_t>(std::clamp<int64_t>(left.count(), 1, UINT32_MAX));
}

Frame FirstFrame(std::string_view path, TimePoint deadline, std::string_view trace,
                 std::string_view ticket) {
  Frame frame;
  frame.method = MethodHash(path);
  frame.deadline_ms = MillisLeft(deadline);
  frame.trace = trace;
  frame.ticket = ticket;
  return frame;
}

// Lives in the frame of CallOnStream; destroying that coroutine cancels the call.
class SingleCall : public StreamCall {
 public:
  SingleCall(ClientStream& stream, google::protobuf::MessageLite& reply)
      : stream_(stream), reply_(reply) {}
  ~SingleCall() override { stream_.Abandon(*this); }

  void OnFrame(const Frame& frame, const grpc::Slice&, Ready&) override {
    if ((frame.flags & kBody) == 0 || replied_) return;
    replied_ = true;
    status_ = Parse(frame.body, reply_);
    if (!status_.ok()) status_ = base::Internal(base::Message(status_));
  }
  void OnEnd(absl::Status status, Ready& ready) override {
    ended_ = true;
    if (!status.ok()) status_ = std::move(status);
    if (status_.ok() && !replied_) status_ = base::Internal("the call ended without a reply");
    ready.Add(waiter_);
  }
  bool ended() const { return ended_; }
  Waiter& waiter() { return waiter_; }
  absl::Status TakeStatus() { return std::move(status_); }

 private:
  ClientStream& stream_;
  google::protobuf::MessageLite& reply_;
  Waiter waiter_;
  absl::Status status_;
  bool replied_ = false;
  bool ended_ = false;
};

// A call of many messages on a request stream.
class ManyCall : public StreamCall, public std::enable_shared_from_this<ManyCall> {
 public:
  ManyCall(net::Loop& loop, std::shared_ptr<ClientStream> stream, std::string_view path,
           CallOptions options)
      : loop_(loop), stream_(std::move(stream)), path_(path), options_(std::move(options)) {
    deadline = DeadlineOf(options_);
  }
  ~ManyCall() override { stream_->Abandon(*this); }

  static net::Task<absl::Status> Write(std::shared_ptr<ManyCall> self,
                                       const google::protobuf::MessageLite& message);
  static net::Task<absl::StatusOr<bool>> Read(std::shared_ptr<ManyCall> self,
                                              google::protobuf::MessageLite& into);
  void WritesDone();
  // The user let go.
  void Cancel();

  void OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready) override;
  void OnEnd(absl::Status status, Ready& ready) override;

 private:
  struct Body {
    grpc::Slice slice;
    std::string_view bytes;
  };
  bool begun() const { return id != 0; }
  absl::Status Ended() const {
    return status_.ok() ? base::Unavailable("the call has ended") : status_;
  }
  // Waits for the stream when the call is not on it yet.
  static net::Task<absl::Status> Connect(std::shared_ptr<ManyCall> self);
  void Put(uint32_t flags, const google::protobuf::MessageLite* message);

  net::Loop& loop_;
  std::shared_ptr<ClientStream> stream_;
  std::string path_;
  CallOptions options_;
  uint32_t credit_ = kInitialCredit;
  uint32_t owed_ = 0;
  std::deque<Body> inbox_;
  bool half_closed_ = false;
  bool ended_ = false;
  absl::Status status_;
  Waiter reader_;
  Waiter writer_;
};

void ManyCall::Put(uint32_t flags, const google::protobuf::MessageLite* message) {
  if (begun()) {
    Frame frame;
    frame.flags = flags;
    return stream_->Send(*this, frame, message);
  }
  const std::string trace = TraceBytes(options_.trace);
  Frame frame = FirstFrame(path_, deadline, trace, options_.ticket);
  frame.flags = flags;
  stream_->Begin(*this, frame, message);
}

net::Task<absl::Status> ManyCall::Connect(std::shared_ptr<ManyCall> self) {
  if (self->ended_) co_return self->Ended();
  if (self->begun() || self->stream_->up()) co_return absl::OkStatus();
  absl::Status up = co_await ClientStream::WaitUntilUp(
      self->stream_, ConnectedBy(self->options_, self->deadline));
  if (self->ended_) co_return self->Ended();
  if (!up.ok()) {
    self->ended_ = true;
    self->status_ = up;
    CountClientError(self->path_, up);
  }
  co_return up;
}

net::Task<absl::Status> ManyCall::Write(std::shared_ptr<ManyCall> self,
                                        const google::protobuf::MessageLite& message) {
  if (self->half_closed_) co_return base::Precondition("Write after WritesDone");
  if (message.ByteSizeLong() > static_cast<size_t>(kLargestMessage) / 2) {
    co_return base::Exhausted("the message is too large for a request stream");
  }
  CO_RETURN_IF_ERROR(co_await Connect(self));
  while (self->credit_ == 0 && !self->ended_) co_await self->writer_.Wait();
  if (self->ended_) co_return self->Ended();
  --self->credit_;
  self->Put(kBody, &message);
  co_return absl::OkStatus();
}

void ManyCall::WritesDone() {
  if (half_closed_ || ended_) return;
  half_closed_ = true;
  // Without a message so far: Read, which can wait for the stream, begins the call.
  if (begun()) Put(kHalfClose, nullptr);
}

net::Task<absl::StatusOr<bool>> ManyCall::Read(std::shared_ptr<ManyCall> self,
                                               google::protobuf::MessageLite& into) {
  if (!self->begun() && !self->ended_) {
    CO_RETURN_IF_ERROR(co_await Connect(self));
    if (!self->begun()) self->Put(self->half_closed_ ? kHalfClose : 0, nullptr);
  }
  while (self->inbox_.empty() && !self->ended_) co_await self->reader_.Wait();
  if (self->inbox_.empty()) {
    if (self->status_.ok()) co_return false;
    co_return self->status_;
  }
  const Body body = std::move(self->inbox_.front());
  self->inbox_.pop_front();
  if (++self->owed_ >= kInitialCredit / 2 && self->begun()) {
    Frame credit;
    credit.flags = kCredit;
    credit.credit = std::exchange(self->owed_, 0);
    self->stream_->Send(*self, credit, nullptr);
  }
  const absl::Status parsed = Parse(body.bytes, into);
  if (!parsed.ok()) co_return base::Internal(base::Message(parsed));
  co_return true;
}

void ManyCall::OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready) {
  if ((frame.flags & kBody) != 0) {
    inbox_.push_back({slice, frame.body});
    ready.Add(reader_);
  }
  if ((frame.flags & kCredit) != 0) {
    credit_ += frame.credit;
    ready.Add(writer_);
  }
}

void ManyCall::OnEnd(absl::Status status, Ready& ready) {
  ended_ = true;
  status_ = std::move(status);
  CountClientError(path_, status_);
  ready.Add(reader_);
  ready.Add(writer_);
}

void ManyCall::Cancel() {
  stream_->Abandon(*this);
  if (ended_) return;
  Ready ready;
  OnEnd(base::Error(absl::StatusCode::kCancelled, "cancelled"), ready);
  ready.PostAll(loop_);
}

class RawManyCall : public RawCall {
 public:
  explicit RawManyCall(std::shared_ptr<ManyCall> call) : call_(std::move(call)) {}
  ~RawManyCall() override { call_->Cancel(); }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    return ManyCall::Write(call_, message);
  }
  void WritesDone() override { call_->WritesDone(); }
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    return ManyCall::Read(call_, into);
  }

 private:
  std::shared_ptr<ManyCall> call_;
};

}  // namespace

TimePoint DeadlineOf(const CallOptions& options) {
  if (options.timeout.count() >= kLongestTimeoutMs) return TimePoint::max();
  return std::chrono::steady_clock::now() + options.timeout;
}

TimePoint ConnectedBy(const CallOptions& options, TimePoint deadline) {
  return std::min(deadline, std::chrono::steady_clock::now() + options.connect_within);
}

std::string TraceBytes(const TraceContext& trace) {
  if ((trace.trace_high | trace.trace_low) == 0) return {};
  std::string bytes;
  for (const uint64_t word : {trace.trace_high, trace.trace_low, trace.span}) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(word >> shift));
  }
  bytes.push_back(trace.sampled ? '\1' : '\0');
  return bytes;
}

net::Task<absl::Status> CallOnStream(std::shared_ptr<ClientStream> stream, std::string_view path,
                                     CallOptions options,
                                     const google::protobuf::MessageLite& request,
                                     google::protobuf::MessageLite& reply) {
  if (request.ByteSizeLong() > static_cast<size_t>(kLargestMessage) / 2) {
    co_return base::Exhausted("the message is too large for a request stream");
  }
  SingleCall call(*stream, reply);
  call.deadline = DeadlineOf(options);
  if (!stream->up()) {
    absl::Status up = co_await ClientStream::WaitUntilUp(stream, ConnectedBy(options, call.deadline));
    CountClientError(path, up);
    if (!up.ok()) co_return up;
  }
  const std::string trace = TraceBytes(options.trace);
  Frame frame = FirstFrame(path, call.deadline, trace, options.ticket);
  frame.flags = kHalfClose | kBody;
  stream->Begin(call, frame, &request);
  while (!call.ended()) co_await call.waiter().Wait();
  absl::Status status = call.TakeStatus();
  CountClientError(path, status);
  co_return status;
}

std::unique_ptr<RawCall> StartOnStream(net::Loop& loop, std::shared_ptr<ClientStream> stream,
                                       std::string_view path, CallOptions options) {
  return std::make_unique<RawManyCall>(
      std::make_shared<ManyCall>(loop, std::move(stream), path, std::move(options)));
}

}  // namespace posthorn::rpc
