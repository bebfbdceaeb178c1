#include "lib/rpc/line.h"

#include <grpcpp/create_channel.h>

#include <algorithm>

#include "lib/rpc/channel_credentials.h"

namespace posthorn::rpc {
namespace {

std::shared_ptr<grpc::Channel> MakeChannel(const Client::Options& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage);
  arguments.SetMaxSendMessageSize(kLargestMessage);
  // Fewer filters on each call; deadlines are one of them and stay.
  arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Each line has connections of its own: another loop's thread, or another certificate, must not
  // serve them.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const bool local = options.target.starts_with("unix:");
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, local ? 250 : 1000);
  if (!local) {
    // A replica that comes back may have another address: names are asked again within a second,
    // not half a minute. What its DNS says of how to call is not asked for.
    arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    // Over a network a peer may vanish without a word; the server's limit is 10 s (server.cc).
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  }
  if (local || !options.credentials) {
    return grpc::CreateCustomChannel(options.target, grpc::InsecureChannelCredentials(), arguments);
  }
  // Names of hosts say where a server is, not who it is.
  if (!options.process.empty())
    arguments.SetSslTargetNameOverride(CertificateName(options.process));
  return grpc::CreateCustomChannel(
      options.target, ChannelCredentialsOf(*options.credentials->current()), arguments);
}

}  // namespace

Line::Line(net::Loop& loop, Completions& completions, const Client::Options& options)
    : loop_(loop),
      queue_(completions.queue()),
      channel_(MakeChannel(options)),
      plain_(std::make_shared<PlainCalls>(loop, channel_, queue_, options.authorization)) {}

Line::~Line() {
  for (const auto& stream : streams_) stream->Close();
  plain_->Close();
}

const std::shared_ptr<ClientStream>& Line::Stream(std::string_view name, Flow flow) {
  for (const auto& stream : streams_) {
    if (stream->name() == name) return stream;
  }
  streams_.push_back(
      std::make_shared<ClientStream>(loop_, channel_, queue_, std::string(name), flow));
  streams_.back()->Open();
  return streams_.back();
}

bool Line::leaving() const {
  return std::ranges::any_of(streams_, [](const auto& stream) { return stream->leaving(); });
}

bool Line::idle() const {
  return plain_->idle() &&
         std::ranges::all_of(streams_, [](const auto& stream) { return stream->idle(); });
}

}  // namespace posthorn::rpc
