#include "lib/rpc/client.h"

#include <grpcpp/create_channel.h>

#include <vector>

#include "lib/rpc/client_calls.h"

namespace posthorn::rpc {
namespace {

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  arguments.SetMaxSendMessageSize(kLargestMessage);
  // Fewer filters on each call; deadlines are one of them and stay.
  arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // Each client has connections of its own: another loop's thread must not serve them.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!target.starts_with("unix:")) {
    // Over a network a peer may vanish without a word; the server's limit is 10 s (server.cc).
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  }
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

class ClientImpl : public Client {
 public:
  ClientImpl(net::Loop& loop, Options options)
      : loop_(loop),
        completions_(Completions::For(loop)),
        channel_(MakeChannel(options.target)),
        plain_(std::make_shared<PlainCalls>(loop, channel_, completions_->queue(),
                                            std::move(options.authorization))) {}
  ~ClientImpl() override {
    for (const auto& stream : streams_) stream->Close();
    plain_->Close();
  }

  std::unique_ptr<RawCall> Start(std::string_view path, std::string_view stream, Flow flow,
                                 CallOptions options) override {
    if (stream.empty()) return plain_->Start(std::string(path), std::move(options));
    return StartOnStream(loop_, Stream(stream, flow), path, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, Flow flow,
                                  CallOptions options, const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    if (stream.empty()) {
      return plain_->Call(std::string(path), std::move(options), request, reply);
    }
    return CallOnStream(Stream(stream, flow), path, std::move(options), request, reply);
  }
  bool connected() const override {
    const grpc_connectivity_state state = channel_->GetState(false);
    return state == GRPC_CHANNEL_READY || state == GRPC_CHANNEL_IDLE;
  }

 private:
  // A client has few streams: a linear search is the fastest.
  const std::shared_ptr<ClientStream>& Stream(std::string_view name, Flow flow) {
    for (const auto& stream : streams_) {
      if (stream->name() == name) return stream;
    }
    streams_.push_back(std::make_shared<ClientStream>(loop_, channel_, completions_->queue(),
                                                      std::string(name), flow));
    streams_.back()->Open();
    return streams_.back();
  }

  net::Loop& loop_;
  std::shared_ptr<Completions> completions_;
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<PlainCalls> plain_;
  std::vector<std::shared_ptr<ClientStream>> streams_;
};

}  // namespace

std::unique_ptr<Client> Client::Create(net::Loop& loop, Options options) {
  return std::make_unique<ClientImpl>(loop, std::move(options));
}

}  // namespace posthorn::rpc
