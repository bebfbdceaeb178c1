#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "lib/rpc/client.h"

namespace posthorn::cluster {

// What the user of a client owns; tasks and waiting calls hold the rest for as long as they need
// it. `Interface` is an rpc::Client, `Impl` one of the sort.
template <class Interface, class Impl>
class Handle : public Interface {
 public:
  explicit Handle(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  bool connected() const override { return impl_->connected(); }
  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view stream,
                                      rpc::Flow flow, rpc::CallOptions options) override {
    return impl_->Start(path, stream, flow, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, rpc::Flow flow,
                                  rpc::CallOptions options,
                                  const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    return impl_->CallRaw(path, stream, flow, std::move(options), request, reply);
  }

 protected:
  const std::shared_ptr<Impl> impl_;
};

}  // namespace posthorn::cluster
