#include "lib/rpc/client_stream.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/metrics.h"

namespace posthorn::rpc {
namespace {

constexpr std::chrono::milliseconds kFirstBackoff{50};
constexpr std::chrono::milliseconds kLastBackoff{1000};
constexpr char kNotSentUrl[] = "posthorn.rpc/not-sent";
// A call's id is its slot and how often the slot was used: found without hashing, never mistaken
// for an older one.
constexpr int kSlotBits = 20;

std::chrono::milliseconds Until(TimePoint then) {
  const auto left = then - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(1));
}

absl::Status NotSent(std::string_view why) {
  absl::Status status = base::Unavailable(why);
  status.SetPayload(kNotSentUrl, absl::Cord("1"));
  return status;
}

}  // namespace

bool WasNotSent(const absl::Status& status) { return status.GetPayload(kNotSentUrl).has_value(); }

ClientStream::ClientStream(net::Loop& loop, std::shared_ptr<grpc::Channel> channel,
                           grpc::CompletionQueue& queue, std::string name, Flow flow)
    : loop_(loop),
      stub_(std::move(channel)),
      queue_(queue),
      name_(std::move(name)),
      flow_(flow),
      deadlines_(loop, [this](TimePoint now) { return Expire(now); }),
      batches_(observe::NewCounter("posthorn_rpc_client_batches_total",
                                   "batches sent on request streams", {{"stream", name_}})),
      frames_(observe::NewCounter("posthorn_rpc_client_frames_total",
                                  "frames sent on request streams", {{"stream", name_}})) {}

// ---- the gRPC call below

void ClientStream::Open() {
  state_ = State::kOpening;
  link_ = std::make_shared<Link>();
  link_->stream = shared_from_this();
  // Waits in the channel until the server is there; our own backoff is for servers that end the
  // stream.
  link_->context.set_wait_for_ready(true);
  link_->call = stub_.PrepareCall(&link_->context, std::string(kRequestStreamPath), &queue_);
  link_->call->StartCall(link_->started.Arm(link_));
}

void ClientStream::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  retry_.reset();
  deadlines_.Stop();
  Ready ready;
  EndAll(base::Unavailable("the client is closed"), ready);
  for (const auto& waiter : std::exchange(waiting_for_up_, {})) ready.Add(*waiter);
  if (const std::shared_ptr<Link> link = std::exchange(link_, nullptr)) {
    link->context.TryCancel();
    link->stream.reset();
  }
  ready.PostAll(loop_);
}

void ClientStream::Link::OnStarted(bool ok) {
  const std::shared_ptr<ClientStream> owner = stream;
  if (!owner) return;
  if (ok) {
    owner->StartRead();
    owner->OnUp();
  } else {
    owner->Finish();
  }
}

void ClientStream::Link::OnRead(bool ok) {
  reading = false;
  const std::shared_ptr<ClientStream> owner = stream;
  if (!owner) return;
  if (!ok) return owner->Finish();
  const grpc::Slice slice = Flatten(in);
  owner->StartRead();
  owner->OnBatch(slice);
}

void ClientStream::Link::OnWritten(bool ok) {
  const std::shared_ptr<ClientStream> owner = stream;
  if (!owner) return;
  owner->writing_ = false;
  // A failed write: the pending read fails as well and ends the link.
  if (ok) owner->ScheduleFlush();
}

void ClientStream::Link::OnFinished(bool) {
  if (const std::shared_ptr<ClientStream> owner = stream) owner->OnLost(FromGrpc(status));
}

void ClientStream::StartRead() {
  link_->reading = true;
  link_->call->Read(&link_->in, link_->read.Arm(link_));
}

void ClientStream::Finish() {
  if (link_->finishing || link_->reading) return;
  link_->finishing = true;
  state_ = State::kOpening;
  link_->call->Finish(&link_->status, link_->finished.Arm(link_));
}

void ClientStream::OnUp() {
  state_ = State::kUp;
  going_ = Going::kStay;
  Ready ready;
  for (const auto& waiter : std::exchange(waiting_for_up_, {})) ready.Add(*waiter);
  ready.ResumeAll();
}

void ClientStream::OnLost(const absl::Status& status) {
  state_ = State::kDown;
  link_->stream.reset();
  link_.reset();
  writing_ = false;
  out_.clear();
  held_.clear();
  rest_of_batch_ = false;
  backoff_ = std::clamp(backoff_ * 2, kFirstBackoff, kLastBackoff);
  retry_ = loop_.After(backoff_, [this] { Open(); });
  Ready ready;
  EndAll(base::Unavailable(base::StrCat("request stream lost: ", base::Message(status))), ready);
  ready.ResumeAll();
}

net::Task<absl::Status> ClientStream::WaitUntilUp(std::shared_ptr<ClientStream> self,
                                                  TimePoint limit) {
  while (!self->up()) {
    if (self->state_ == State::kClosed) co_return NotSent("the client is closed");
    if (std::chrono::steady_clock::now() >= limit) co_return NotSent("not connected");
    const auto waiter = std::make_shared<Waiter>();
    self->waiting_for_up_.push_back(waiter);
    const auto timer = self->loop_.After(Until(limit), [waiter] {
      Ready ready;
      ready.Add(*waiter);
      ready.ResumeAll();
    });
    co_await waiter->Wait();
    std::erase(self->waiting_for_up_, waiter);
  }
  co_return absl::OkStatus();
}

// ---- calls

void ClientStream::Begin(StreamCall& call, Frame frame,
                         const google::protobuf::MessageLite* message) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot].call = &call;
  call.id = slots_[slot].generation << kSlotBits | slot;
  if (call.deadline != TimePoint::max()) deadlines_.Consider(call.deadline);

  frame.call = call.id;
  frame.flags |= kFirst;
  const bool single = (frame.flags & kHalfClose) != 0;
  if (flow_ == Flow::kHoldBack && single) {
    call.hold = StreamCall::Hold::kWaiting;
    Chunk& chunk = Last(held_);
    chunk.counted.push_back(call.id);
    AppendFrame(chunk.bytes, frame, message);
  } else {
    AppendFrame(Last(out_).bytes, frame, message);
  }
  frames_->Add();
  ScheduleFlush();
}

void ClientStream::Send(const StreamCall& call, Frame frame,
                        const google::protobuf::MessageLite* message) {
  frame.call = call.id;
  // A frame must not overtake the call's first one.
  const bool behind = call.hold == StreamCall::Hold::kWaiting;
  AppendFrame(Last(behind ? held_ : out_).bytes, frame, message);
  frames_->Add();
  ScheduleFlush();
}

void ClientStream::Abandon(StreamCall& call) {
  if (call.id == 0) return;
  if (state_ == State::kUp) {
    Frame cancel;
    cancel.flags = kEnd;
    Send(call, cancel, nullptr);
  }
  Leave(call);
}

StreamCall* ClientStream::Find(uint64_t id) {
  const uint64_t slot = id & ((uint64_t{1} << kSlotBits) - 1);
  if (slot >= slots_.size() || slots_[slot].generation != id >> kSlotBits) return nullptr;
  return slots_[slot].call;
}

void ClientStream::Leave(StreamCall& call) {
  const auto slot = static_cast<uint32_t>(call.id & ((uint64_t{1} << kSlotBits) - 1));
  slots_[slot].call = nullptr;
  ++slots_[slot].generation;
  free_slots_.push_back(slot);
  call.id = 0;
  if (call.hold == StreamCall::Hold::kCounted && --unanswered_ == 0) ScheduleFlush();
  call.hold = StreamCall::Hold::kNone;
}

void ClientStream::EndAll(const absl::Status& status, Ready& ready) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    StreamCall* const call = slots_[i].call;
    if (call == nullptr) continue;
    const bool sent = call->hold != StreamCall::Hold::kWaiting;
    Leave(*call);
    call->OnEnd(sent ? status : NotSent(base::Message(status)), ready);
  }
}

TimePoint ClientStream::Expire(TimePoint now) {
  TimePoint next = TimePoint::max();
  Ready ready;
  for (size_t i = 0; i < slots_.size(); ++i) {
    StreamCall* const call = slots_[i].call;
    if (call == nullptr) continue;
    if (call->deadline > now) {
      next = std::min(next, call->deadline);
      continue;
    }
    Abandon(*call);
    call->OnEnd(base::Error(absl::StatusCode::kDeadlineExceeded, "deadline exceeded"), ready);
  }
  ready.PostAll(loop_);
  return next;
}

// ---- batches

void ClientStream::OnBatch(const grpc::Slice& slice) {
  backoff_ = std::chrono::milliseconds(0);
  Ready ready;
  FrameReader frames(View(slice));
  Frame frame;
  while (frames.Next(frame)) {
    if (frame.call == 0 && (frame.flags & kEnd) != 0) AskedToLeave();
    StreamCall* const call = Find(frame.call);
    if (call == nullptr) continue;  // it ended while this was under way
    if ((frame.flags & (kBody | kCredit)) != 0) call->OnFrame(frame, slice, ready);
    if ((frame.flags & kEnd) == 0) continue;
    Leave(*call);
    call->OnEnd(FromCode(frame.status, frame.error), ready);
  }
  if (frames.broken()) link_->context.TryCancel();
  ready.ResumeAll();
}

void ClientStream::AskedToLeave() {
  if (going_ != Going::kStay) return;
  going_ = Going::kAsked;
  ScheduleFlush();
}

ClientStream::Chunk& ClientStream::Last(std::deque<Chunk>& chunks) {
  if (chunks.empty() || chunks.back().bytes.size() >= kFullBatch) chunks.emplace_back();
  return chunks.back();
}

void ClientStream::ScheduleFlush() {
  if (flush_scheduled_ || state_ != State::kUp) return;
  flush_scheduled_ = true;
  loop_.AtTurnEnd([self = shared_from_this()] {
    self->flush_scheduled_ = false;
    self->Flush();
  });
}

ClientStream::Chunk ClientStream::TakeBatch() {
  Chunk batch;
  if (!out_.empty()) {
    batch = std::move(out_.front());
    out_.pop_front();
  }
  const bool may_start = unanswered_ == 0 || rest_of_batch_;
  if (held_.empty() || !may_start || batch.bytes.size() >= kFullBatch) return batch;
  Chunk& held = held_.front();
  if (batch.bytes.empty()) {
    batch.bytes = std::move(held.bytes);
  } else {
    batch.bytes.append(held.bytes);
  }
  batch.counted = std::move(held.counted);
  held_.pop_front();
  rest_of_batch_ = !held_.empty();
  return batch;
}

void ClientStream::Flush() {
  if (state_ != State::kUp || writing_) return;
  Chunk batch = TakeBatch();
  if (going_ == Going::kAsked && out_.empty() && held_.empty()) {
    going_ = Going::kLeft;
    Frame left;
    left.flags = kEnd;
    AppendFrame(batch.bytes, left);
  }
  if (batch.bytes.empty()) return;
  for (const uint64_t id : batch.counted) {
    StreamCall* const call = Find(id);
    if (call == nullptr) continue;
    call->hold = StreamCall::Hold::kCounted;
    ++unanswered_;
  }
  writing_ = true;
  batches_->Add();
  link_->call->Write(ToBuffer(std::move(batch.bytes)), link_->written.Arm(link_));
}

}  // namespace posthorn::rpc
