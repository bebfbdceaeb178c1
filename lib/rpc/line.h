#pragma once

// One gRPC channel of a client, and all that runs on it. A client whose certificate changes moves
// to another line; calls under way end on the one they began on.

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/rpc/client_calls.h"
#include "lib/rpc/completion.h"

namespace posthorn::rpc {

class Line {
 public:
  Line(net::Loop& loop, Completions& completions, const Client::Options& options);
  // Ends the calls that are left.
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  PlainCalls& plain() { return *plain_; }
  std::shared_ptr<PlainCalls> shared_plain() { return plain_; }
  // Made at first use.
  const std::shared_ptr<ClientStream>& Stream(std::string_view name, Flow flow);
  bool idle() const;
  // One of its servers said that it ends.
  bool leaving() const;
  grpc_connectivity_state state() const { return channel_->GetState(false); }

 private:
  net::Loop& loop_;
  grpc::CompletionQueue& queue_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<PlainCalls> plain_;
  // Few: a linear search is the fastest.
  std::vector<std::shared_ptr<ClientStream>> streams_;
};

}  // namespace posthorn::rpc
