#pragma once

// gRPC's completions, handled on a net::Loop. One completion queue for each Loop, shared by its
// server and all its clients. The loop's own thread drives gRPC, so that a message on its way
// through a process wakes one thread only: with gRPC's "poll" strategy its waiting goes through a
// function of ours, which waits for the loop's files as well. Includes gRPC: for the .cc files of
// lib/rpc only.

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "lib/net/loop.h"

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

class Completions : private net::Loop::Source, public std::enable_shared_from_this<Completions> {
 public:
  // Those of `loop`, made at first use. The last owner lets go on the loop's thread or when it does
  // not run, and before the Loop is destroyed.
  static std::shared_ptr<Completions> For(net::Loop& loop);
  // Further ones, for a loop that has had a server already; a thread of their own serves them.
  static std::shared_ptr<Completions> New(net::Loop& loop);
  ~Completions() override;

  grpc::ServerCompletionQueue& queue() { return *queue_; }
  // The builder that made the queue, for the loop's one server; null when it was taken already.
  std::unique_ptr<grpc::ServerBuilder> TakeBuilder() { return std::move(builder_); }
  // From here on a thread serves the queue: for who is about to block the loop's thread in gRPC, or
  // does so while the loop does not run. On the loop's thread, or when it does not run.
  void ServeByThread();

 private:
  explicit Completions(net::Loop& loop);
  void Turn(std::span<pollfd> sleep_on) override;
  // Until the queue was shut down and is empty.
  void PostAll();

  net::Loop& loop_;
  std::unique_ptr<grpc::ServerBuilder> builder_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  bool is_source_ = false;
  std::thread thread_;
};

}  // namespace posthorn::rpc
