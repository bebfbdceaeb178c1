#pragma once

// gRPC's completions, brought to a net::Loop. One completion queue and one thread for each Loop,
// shared by the server and all clients of that loop: two queues in one process would steal each
// other's events. Includes gRPC: for the .cc files of lib/rpc only.

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace posthorn::net {
class Loop;
}

namespace posthorn::rpc {

// One operation that gRPC was asked for. Keeps its owner alive until the completion was handled on
// the loop.
class Tag {
 public:
  using Handler = void (*)(void* owner, bool ok);
  // `dropped` runs instead of `handler` when the loop is gone.
  explicit Tag(Handler handler, Handler dropped = nullptr) : handler_(handler), dropped_(dropped) {}
  Tag(const Tag&) = delete;
  Tag& operator=(const Tag&) = delete;

  // The pointer to hand to gRPC.
  void* Arm(std::shared_ptr<void> owner) {
    owner_ = std::move(owner);
    return this;
  }
  void Complete(bool ok) {
    const std::shared_ptr<void> owner = std::move(owner_);
    if (owner) handler_(owner.get(), ok);
  }
  void Drop(bool ok) {
    const std::shared_ptr<void> owner = std::move(owner_);
    if (owner && dropped_ != nullptr) dropped_(owner.get(), ok);
  }
  // The operation will not be started, or never completes.
  void Disarm() { owner_.reset(); }

 private:
  Handler handler_;
  Handler dropped_;
  std::shared_ptr<void> owner_;
};

// A Tag whose completion is a member function of its owner: `Tag
// read_{Completion<&Stream::OnRead>}`.
template <auto Member>
struct CompletionOf;
template <class Owner, void (Owner::*Member)(bool)>
struct CompletionOf<Member> {
  static void Run(void* owner, bool ok) { (static_cast<Owner*>(owner)->*Member)(ok); }
};
template <auto Member>
inline constexpr Tag::Handler Completion = &CompletionOf<Member>::Run;

class CompletionThread {
 public:
  // The one of `loop`, made at first use. The last owner lets go on the loop's thread or when it
  // does not run, and before the Loop is destroyed.
  static std::shared_ptr<CompletionThread> For(net::Loop& loop);
  // A further one, for a loop that has had a server already.
  static std::shared_ptr<CompletionThread> New(net::Loop& loop);
  ~CompletionThread();

  grpc::ServerCompletionQueue& queue() { return *queue_; }
  // The builder that made the queue, for the loop's one server; null when it was taken already.
  std::unique_ptr<grpc::ServerBuilder> TakeBuilder() { return std::move(builder_); }

 private:
  explicit CompletionThread(net::Loop& loop);
  void Run();

  net::Loop& loop_;
  std::unique_ptr<grpc::ServerBuilder> builder_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread thread_;
};

}  // namespace posthorn::rpc
