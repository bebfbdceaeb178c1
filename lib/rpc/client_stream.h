#pragma once

// The client's end of one request stream: gathers the frames of its calls into batches, keeps one
// gRPC write outstanding, hands replies to their calls, opens itself anew when it was lost.

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lib/rpc/client.h"
#include "lib/rpc/completion.h"
#include "lib/rpc/deadlines.h"
#include "lib/rpc/frame.h"
#include "lib/rpc/waiter.h"
#include "lib/rpc/wire.h"

namespace posthorn::observe {
class Counter;
}

namespace posthorn::rpc {

// One call as the stream sees it. The stream never owns calls: they leave it when they end or are
// destroyed.
class StreamCall {
 public:
  virtual ~StreamCall() = default;
  // The message in `frame.body` lies in `slice`.
  virtual void OnFrame(const Frame& frame, const grpc::Slice& slice, Ready& ready) = 0;
  // The call ended and has left the stream.
  virtual void OnEnd(absl::Status status, Ready& ready) = 0;

  TimePoint deadline = TimePoint::max();
  uint64_t id = 0;  // 0: not begun on a stream, or left it
  // What the call means to a kHoldBack stream: nothing, waits for the next batch, or that batch is
  // out and the next one waits for its answer.
  enum class Hold { kNone, kWaiting, kCounted } hold = Hold::kNone;
};

class ClientStream : public std::enable_shared_from_this<ClientStream> {
 public:
  ClientStream(net::Loop& loop, std::shared_ptr<grpc::Channel> channel,
               grpc::CompletionQueue& queue, std::string name, Flow flow);
  ~ClientStream() = default;

  void Open();
  // Ends all calls; nothing happens here any more.
  void Close();
  const std::string& name() const { return name_; }
  // Nobody waits here, for an answer or for the stream.
  bool idle() const { return slots_.size() == free_slots_.size() && waiting_for_up_.empty(); }

  // Takes further calls.
  bool up() const { return state_ == State::kUp && going_ == Going::kStay; }
  // The server said that it ends.
  bool leaving() const { return going_ != Going::kStay; }
  // Until the stream takes calls; kUnavailable at `limit`.
  static net::Task<absl::Status> WaitUntilUp(std::shared_ptr<ClientStream> self,
                                             TimePoint limit);

  // Puts `call` on the (open) stream with its first frame. A frame with kFirst and kHalfClose makes
  // a call that the other calls of a kHoldBack stream wait for.
  void Begin(StreamCall& call, Frame frame, const google::protobuf::MessageLite* message);
  // A further frame of a call that has begun and not ended.
  void Send(const StreamCall& call, Frame frame, const google::protobuf::MessageLite* message);
  // The caller gives up: tells the server, and OnEnd is not called. Nothing when it ended already.
  void Abandon(StreamCall& call);

 private:
  enum class State { kDown, kOpening, kUp, kClosed };
  // Asked to leave we say that we have, behind the last call that was begun.
  enum class Going { kStay, kAsked, kLeft };
  struct Slot {
    StreamCall* call = nullptr;
    uint64_t generation = 1;
  };
  // Frames on their way out.
  struct Chunk {
    std::string bytes;
    // Calls to be counted when it goes out.
    std::vector<uint64_t> counted;
  };
  // Everything of one gRPC call; a lost one may still finish its operations when the next is open.
  struct Link {
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::ByteBuffer in;
    grpc::Status status;
    std::shared_ptr<ClientStream> stream;
    bool reading = false;
    bool finishing = false;
    Tag started{Completion<&Link::OnStarted>};
    Tag read{Completion<&Link::OnRead>};
    Tag written{Completion<&Link::OnWritten>};
    Tag finished{Completion<&Link::OnFinished>};
    void OnStarted(bool ok);
    void OnRead(bool ok);
    void OnWritten(bool ok);
    void OnFinished(bool ok);
  };
  friend struct Link;

  void StartRead();
  void Finish();
  void OnUp();
  void OnBatch(const grpc::Slice& slice);
  void OnLost(const absl::Status& status);
  void AskedToLeave();
  Chunk& Last(std::deque<Chunk>& chunks);
  Chunk TakeBatch();
  void ScheduleFlush();
  void Flush();
  StreamCall* Find(uint64_t id);
  void Leave(StreamCall& call);
  void EndAll(const absl::Status& status, Ready& ready);
  TimePoint Expire(TimePoint now);

  net::Loop& loop_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue& queue_;
  const std::string name_;
  const Flow flow_;
  State state_ = State::kDown;
  Going going_ = Going::kStay;  // of the open link
  std::shared_ptr<Link> link_;
  std::chrono::milliseconds backoff_{0};
  std::unique_ptr<net::Loop::Timer> retry_;
  std::vector<std::shared_ptr<Waiter>> waiting_for_up_;

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  Deadlines deadlines_;

  // What may go out with the next write, and what kHoldBack keeps until `unanswered_` is 0.
  std::deque<Chunk> out_;
  std::deque<Chunk> held_;
  size_t unanswered_ = 0;
  bool rest_of_batch_ =
      false;  // `held_` was too large for one write: the rest belongs to the same batch
  bool writing_ = false;
  bool flush_scheduled_ = false;

  observe::Counter* batches_;
  observe::Counter* frames_;
};

}  // namespace posthorn::rpc
