#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/call_errors.h"
#include "lib/rpc/client_calls.h"

namespace posthorn::rpc {
namespace {

// One change of the channel's state.
struct StateChange {
  void OnChange(bool) {
    changed = true;
    Ready ready;
    ready.Add(waiter);
    ready.ResumeAll();
  }
  // Destroys the coroutine that waits, which would otherwise own itself.
  void OnDrop(bool) { waiter.Take(); }
  bool changed = false;
  Waiter waiter;
  Tag tag{Completion<&StateChange::OnChange>, Completion<&StateChange::OnDrop>};
};

// One message each way.
class Unary : public PlainCalls::Member, public std::enable_shared_from_this<Unary> {
 public:
  explicit Unary(PlainCalls& calls) : loop_(calls.loop()) {}

  void Begin(PlainCalls& calls, const std::string& path, const CallOptions& options,
             const google::protobuf::MessageLite& request) {
    calls.Prepare(context_, options);
    call_ = calls.stub().PrepareUnaryCall(&context_, path, Serialize(request), &calls.queue());
    call_->StartCall();
    call_->Finish(&reply_, &status_, finished_.Arm(shared_from_this()));
  }
  void Cancel() {
    if (!ended_) context_.TryCancel();
  }
  void Close() override {
    if (ended_) return;
    context_.TryCancel();
    End(base::Unavailable("the client is closed")).PostAll(loop_);
  }
  static net::Task<absl::Status> Wait(std::shared_ptr<Unary> self,
                                      google::protobuf::MessageLite& reply) {
    while (!self->ended_) co_await self->waiter_.Wait();
    CO_RETURN_IF_ERROR(self->result_);
    const grpc::Slice slice = Flatten(self->reply_);
    const absl::Status parsed = Parse(View(slice), reply);
    if (!parsed.ok()) co_return base::Internal(base::Message(parsed));
    co_return absl::OkStatus();
  }

 private:
  Ready End(absl::Status result) {
    ended_ = true;
    result_ = std::move(result);
    Ready ready;
    ready.Add(waiter_);
    return ready;
  }
  void OnFinished(bool) {
    if (!ended_) End(FromGrpc(status_)).ResumeAll();
  }

  net::Loop& loop_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> call_;
  grpc::ByteBuffer reply_;
  grpc::Status status_;
  absl::Status result_;
  bool ended_ = false;
  Waiter waiter_;
  Tag finished_{Completion<&Unary::OnFinished>};
};

// Takes a call out of the client's list and cancels it when its user is gone.
template <class Call>
class Keeper {
 public:
  Keeper(std::shared_ptr<PlainCalls> calls, std::shared_ptr<Call> call)
      : calls_(std::move(calls)), call_(std::move(call)) {
    calls_->Add(call_);
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() {
    calls_->Remove(call_.get());
    call_->Cancel();
  }

 private:
  std::shared_ptr<PlainCalls> calls_;
  std::shared_ptr<Call> call_;
};

// Any number of messages each way.
class Many : public PlainCalls::Member, public std::enable_shared_from_this<Many> {
 public:
  explicit Many(PlainCalls& calls) : loop_(calls.loop()) {}

  static net::Task<void> BeginWhenReady(std::shared_ptr<Many> self,
                                        std::shared_ptr<PlainCalls> calls, std::string path,
                                        CallOptions options) {
    const TimePoint deadline = DeadlineOf(options);
    co_await PlainCalls::WaitUntilReady(calls, ConnectedBy(options, deadline));
    if (calls->closed() || self->ended_) co_return;
    // What is left of the caller's time.
    options.timeout = std::min(options.timeout, std::chrono::ceil<std::chrono::milliseconds>(
                                                    deadline - std::chrono::steady_clock::now()));
    self->Begin(*calls, path, options);
  }
  void Begin(PlainCalls& calls, const std::string& path, const CallOptions& options) {
    path_ = path;
    calls.Prepare(context_, options);
    call_ = calls.stub().PrepareCall(&context_, path, &calls.queue());
    call_->StartCall(started_.Arm(shared_from_this()));
  }
  void Cancel() {
    if (ended_) return;
    context_.TryCancel();
    End(base::Error(absl::StatusCode::kCancelled, "cancelled")).PostAll(loop_);
  }
  void Close() override {
    if (ended_) return;
    context_.TryCancel();
    End(base::Unavailable("the client is closed")).PostAll(loop_);
  }

  static net::Task<absl::Status> Write(std::shared_ptr<Many> self,
                                       const google::protobuf::MessageLite& message) {
    while (!self->CanWrite()) co_await self->writer_.Wait();
    if (self->ended_) co_return self->Ended();
    self->writing_ = true;
    self->call_->Write(Serialize(message), self->written_.Arm(self));
    while (self->writing_ && !self->ended_) co_await self->writer_.Wait();
    if (self->ended_ || !self->write_ok_) co_return co_await Failed(self);
    co_return absl::OkStatus();
  }
  void WritesDone() {
    half_close_ = true;
    MaybeHalfClose();
  }
  static net::Task<absl::StatusOr<bool>> Read(std::shared_ptr<Many> self,
                                              google::protobuf::MessageLite& into) {
    while (!self->up_ && !self->ended_) co_await self->reader_.Wait();
    if (!self->ended_ && !self->finishing_) {
      self->reading_ = true;
      self->call_->Read(&self->in_, self->read_.Arm(self));
    }
    while ((self->reading_ || !self->read_ok_) && !self->ended_) co_await self->reader_.Wait();
    if (!self->ended_ || self->read_ok_) {
      self->read_ok_ = false;
      const grpc::Slice slice = Flatten(self->in_);
      const absl::Status parsed = Parse(View(slice), into);
      if (!parsed.ok()) co_return base::Internal(base::Message(parsed));
      co_return true;
    }
    if (self->result_.ok()) co_return false;
    co_return self->result_;
  }

 private:
  absl::Status Ended() const {
    return result_.ok() ? base::Unavailable("the call has ended") : result_;
  }
  bool CanWrite() const { return ended_ || (up_ && !writing_); }
  // A write that failed: the reason comes with the call's end.
  static net::Task<absl::Status> Failed(std::shared_ptr<Many> self) {
    self->Finish();
    while (!self->ended_) co_await self->writer_.Wait();
    co_return self->Ended();
  }
  void MaybeHalfClose() {
    if (!half_close_ || half_closed_ || !up_ || writing_ || ended_ || finishing_) return;
    half_closed_ = true;
    writing_ = true;
    call_->WritesDone(written_.Arm(shared_from_this()));
  }
  void Finish() {
    if (finishing_ || reading_ || ended_) return;
    finishing_ = true;
    call_->Finish(&status_, finished_.Arm(shared_from_this()));
  }
  Ready End(absl::Status result) {
    ended_ = true;
    result_ = std::move(result);
    return WakeBoth();
  }
  Ready WakeBoth() {
    Ready ready;
    ready.Add(reader_);
    ready.Add(writer_);
    return ready;
  }
  void OnStarted(bool ok) {
    if (ended_) return;
    if (!ok) return Finish();
    up_ = true;
    MaybeHalfClose();
    WakeBoth().ResumeAll();
  }
  void OnRead(bool ok) {
    reading_ = false;
    if (ended_) return;
    if (!ok) return Finish();
    read_ok_ = true;
    WakeBoth().ResumeAll();
  }
  void OnWritten(bool ok) {
    writing_ = false;
    write_ok_ = ok;
    if (ended_) return;
    MaybeHalfClose();
    WakeBoth().ResumeAll();
  }
  void OnFinished(bool) {
    if (ended_) return;
    absl::Status status = FromGrpc(status_);
    CountClientError(path_, status);
    End(std::move(status)).ResumeAll();
  }

  net::Loop& loop_;
  std::string path_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer in_;
  grpc::Status status_;
  absl::Status result_;
  bool up_ = false;
  bool reading_ = false;
  bool read_ok_ = false;
  bool writing_ = false;
  bool write_ok_ = true;
  bool half_close_ = false;
  bool half_closed_ = false;
  bool finishing_ = false;
  bool ended_ = false;
  Waiter reader_;
  Waiter writer_;
  Tag started_{Completion<&Many::OnStarted>};
  Tag read_{Completion<&Many::OnRead>};
  Tag written_{Completion<&Many::OnWritten>};
  Tag finished_{Completion<&Many::OnFinished>};
};

class RawMany : public RawCall {
 public:
  RawMany(std::shared_ptr<PlainCalls> calls, std::shared_ptr<Many> call)
      : call_(call), keeper_(std::move(calls), std::move(call)) {}
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    return Many::Write(call_, message);
  }
  void WritesDone() override { call_->WritesDone(); }
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    return Many::Read(call_, into);
  }

 private:
  std::shared_ptr<Many> call_;
  Keeper<Many> keeper_;
};

}  // namespace

void PlainCalls::Prepare(grpc::ClientContext& context, const CallOptions& options) const {
  if (options.timeout.count() < kLongestTimeoutMs) {
    context.set_deadline(std::chrono::system_clock::now() + options.timeout);
  }
  if ((options.trace.trace_high | options.trace.trace_low) != 0) {
    context.AddMetadata("traceparent", options.trace.ToString());
  }
  if (!options.ticket.empty()) context.AddMetadata(std::string(kTicketKey), options.ticket);
  if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
}

void PlainCalls::Add(std::shared_ptr<Member> member) { members_.push_back(std::move(member)); }

void PlainCalls::Remove(const Member* member) {
  std::erase_if(members_, [member](const auto& weak) {
    const auto strong = weak.lock();
    return !strong || strong.get() == member;
  });
}

bool PlainCalls::idle() const {
  return std::ranges::all_of(members_, [](const auto& weak) { return weak.expired(); });
}

void PlainCalls::Close() {
  closed_ = true;
  for (const auto& weak : std::exchange(members_, {})) {
    if (const auto member = weak.lock()) member->Close();
  }
}

net::Task<void> PlainCalls::WaitUntilReady(std::shared_ptr<PlainCalls> self, TimePoint limit) {
  for (;;) {
    const grpc_connectivity_state state = self->channel_->GetState(true);
    const auto left = limit - std::chrono::steady_clock::now();
    if (state == GRPC_CHANNEL_READY || self->closed_ || left <= left.zero()) co_return;
    const auto change = std::make_shared<StateChange>();
    self->channel_->NotifyOnStateChange(state, std::chrono::system_clock::now() + left,
                                        &self->queue_, change->tag.Arm(change));
    while (!change->changed) co_await change->waiter.Wait();
  }
}

net::Task<absl::Status> PlainCalls::Call(std::string path, CallOptions options,
                                         const google::protobuf::MessageLite& request,
                                         google::protobuf::MessageLite& reply) {
  const std::shared_ptr<PlainCalls> self = shared_from_this();
  if (closed_) co_return base::Unavailable("the client is closed");
  if (!ready()) {
    const TimePoint deadline = DeadlineOf(options);
    co_await WaitUntilReady(self, ConnectedBy(options, deadline));
    if (closed_) co_return base::Unavailable("the client is closed");
    options.timeout = std::min(options.timeout, std::chrono::ceil<std::chrono::milliseconds>(
                                                    deadline - std::chrono::steady_clock::now()));
  }
  auto call = std::make_shared<Unary>(*this);
  const Keeper<Unary> keeper(self, call);
  call->Begin(*this, path, options, request);
  absl::Status status = co_await Unary::Wait(call, reply);
  CountClientError(path, status);
  co_return status;
}

std::unique_ptr<RawCall> PlainCalls::Start(std::string path, CallOptions options) {
  auto call = std::make_shared<Many>(*this);
  auto raw = std::make_unique<RawMany>(shared_from_this(), call);
  if (closed_) {
    call->Close();
  } else if (!ready()) {
    loop_.Spawn("rpc.start", Many::BeginWhenReady(call, shared_from_this(), std::move(path),
                                                  std::move(options)));
  } else {
    call->Begin(*this, path, options);
  }
  return raw;
}

}  // namespace posthorn::rpc
