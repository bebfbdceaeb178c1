#include "lib/net/listener.h"

#include <sys/resource.h>

#include <algorithm>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <unordered_map>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/net/proxy_protocol.h"
#include "lib/net/tcp_transport.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::net {
namespace {

using asio::ip::tcp;
using std::chrono::milliseconds;

constexpr milliseconds kPauseWithoutFiles{100};
constexpr milliseconds kRefusalLimit{1000};
// Others of the loop get their turn between two batches.
constexpr int kAcceptBatch = 64;

// Shared by the listener, its accept loop and its sessions; sessions may outlive the listener.
struct State {
  State(Loop& l, ListenerOptions o) : loop(&l), options(std::move(o)), acceptor(l.context()) {}
  Loop* loop;
  ListenerOptions options;
  tcp::acceptor acceptor;
  Listener::Serve serve;
  Listener::Refuse refuse;
  size_t open = 0;
  std::unordered_map<std::string, size_t> open_by_address;
  bool stopped = false;
  observe::Gauge* open_gauge = nullptr;
};

bool InAny(const std::vector<std::string>& networks, const std::string& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const std::string& network) { return InNetwork(address, network); });
}

// One place among max_connections, and, once the address is known, among max_per_address.
class Seat {
 public:
  explicit Seat(std::shared_ptr<State> state) : state_(std::move(state)) {
    state_->open_gauge->Set(static_cast<double>(++state_->open));
  }
  Seat(Seat&& other) noexcept = default;
  ~Seat() {
    if (!state_) return;
    state_->open_gauge->Set(static_cast<double>(--state_->open));
    const auto count = state_->open_by_address.find(address_);
    if (count != state_->open_by_address.end() && --count->second == 0) {
      state_->open_by_address.erase(count);
    }
  }
  // False when that address has too many already.
  bool Take(const std::string& address) {
    const size_t limit = state_->options.max_per_address;
    if (address.empty() || InAny(state_->options.never_limited, address)) return true;
    size_t& count = state_->open_by_address[address];
    if (limit != 0 && count >= limit) return false;
    ++count;
    address_ = address;
    return true;
  }

 private:
  std::shared_ptr<State> state_;
  std::string address_;
};

observe::Counter* RefusalCounter(std::string_view reason) {
  return observe::NewCounter("posthorn_net_refused_total",
                             "Connections refused before a session began", {{"reason", reason}});
}

void CountRefusal(std::string_view reason, const Endpoint& peer, const State& state) {
  RefusalCounter(reason)->Add();
  observe::Info("net.refused",
                {{"listener", state.options.name}, {"peer", peer.address}, {"reason", reason}});
}

Task<void> Refuse(std::shared_ptr<State> state, std::unique_ptr<Connection> connection,
                  Refusal why) {
  CountRefusal(why == Refusal::kTooManyConnections ? "connections" : "address", connection->peer(),
               *state);
  if (state->refuse) connection->Append(state->refuse(why));
  // A new connection takes one line at once; one that does not has lost it.
  const absl::Status ignored = co_await connection->Flush(kRefusalLimit);
  connection->ShutdownWrite();
  connection->Close();
}

// Takes exactly the header from the connection: what follows may be a TLS handshake.
Task<absl::Status> ReadProxyHeader(Connection* connection, milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  ProxyHeader header = ParseProxyHeader({});
  while (header.state == ProxyHeader::State::kNeedMore) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    CO_RETURN_IF_ERROR(co_await connection->FillMore(left, header.missing));
    header = ParseProxyHeader(connection->buffered());
  }
  if (header.state == ProxyHeader::State::kBad) co_return base::Invalid("bad PROXY header");
  connection->Consume(header.size);
  if (!header.source.address.empty()) connection->SetEndpoints(header.source, header.destination);
  co_return absl::OkStatus();
}

Task<void> Session(std::shared_ptr<State> state, Seat seat,
                   std::unique_ptr<Connection> connection) {
  if (InAny(state->options.proxy_from, connection->peer().address)) {
    const absl::Status status =
        co_await ReadProxyHeader(connection.get(), state->options.proxy_timeout);
    if (!status.ok()) {
      CountRefusal("proxy", connection->peer(), *state);
      co_return;
    }
  } else {
    connection->RefuseProxyHeader();
  }
  if (!seat.Take(connection->peer().address)) {
    co_await Refuse(state, std::move(connection), Refusal::kTooManyFromAddress);
    co_return;
  }
  co_await state->serve(std::move(connection));
}

void Begin(const std::shared_ptr<State>& state, tcp::socket socket, const tcp::endpoint& peer) {
  std::error_code ignored;
  const Endpoint local = ToEndpoint(socket.local_endpoint(ignored));
  auto connection = std::make_unique<Connection>(
      *state->loop, std::make_unique<TcpTransport>(std::move(socket)), ToEndpoint(peer), local);
  if (state->open >= state->options.max_connections) {
    state->loop->Spawn("net.refuse",
                       Refuse(state, std::move(connection), Refusal::kTooManyConnections));
  } else {
    state->loop->Spawn("net.session", Session(state, Seat(state), std::move(connection)));
  }
}

// Accepts what is there; the error that accepting must pause for, if any.
std::error_code AcceptReady(const std::shared_ptr<State>& state) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    std::error_code error;
    tcp::endpoint peer;
    tcp::socket socket = state->acceptor.accept(state->loop->context(), peer, error);
    if (!error) {
      Begin(state, std::move(socket), peer);
    } else if (error == asio::error::would_block || error == asio::error::try_again) {
      return {};
    } else if (error != asio::error::connection_aborted && error != asio::error::interrupted) {
      return error;
    }
  }
  return {};
}

Task<void> AcceptLoop(std::shared_ptr<State> state) {
  bool complained = false;
  while (!state->stopped) {
    std::error_code error;
    co_await state->acceptor.async_wait(asio::socket_base::wait_read,
                                        asio::redirect_error(asio::use_awaitable, error));
    if (state->stopped) co_return;
    if (!error) error = AcceptReady(state);
    if (!error) {
      complained = false;
      continue;
    }
    // Out of files, most likely. The backlog keeps the listener readable: without a pause this
    // would spin.
    if (!std::exchange(complained, true)) {
      observe::Error("net.accept.failed",
                     {{"listener", state->options.name}, {"error", error.message()}});
    }
    co_await Sleep(*state->loop, kPauseWithoutFiles);
  }
}

absl::Status ToStatus(const std::error_code& error, const ListenerOptions& options) {
  const std::string text =
      base::StrCat(options.address, " port ", options.port, ": ", error.message());
  if (error == asio::error::access_denied) return base::Denied(text);
  if (error == asio::error::address_in_use) return base::Exists(text);
  return base::Unavailable(text);
}

std::error_code TryBind(tcp::acceptor& acceptor, const tcp::endpoint& at) {
  std::error_code error;
  acceptor.close(error);
  acceptor.open(at.protocol(), error);
  if (error) return error;
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor.non_blocking(true, error);
  return error;
}

absl::Status Bind(State& state) {
  std::error_code error;
  const auto address = asio::ip::make_address(state.options.address, error);
  if (error) return base::Invalid(base::StrCat("not a numeric address: ", state.options.address));
  error = TryBind(state.acceptor, {address, state.options.port});
  const bool no_ipv6 = error == asio::error::address_family_not_supported ||
                       error == std::errc::address_not_available;
  if (no_ipv6 && address.is_v6() && address.is_unspecified()) {
    observe::Warning("net.no_ipv6", {{"listener", state.options.name}, {"error", error.message()}});
    error = TryBind(state.acceptor, {asio::ip::address_v4::any(), state.options.port});
  }
  return error ? ToStatus(error, state.options) : absl::OkStatus();
}

void WarnAboutFileLimit(const ListenerOptions& options) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= options.max_connections) return;
  observe::Warning("net.few_files", {{"listener", options.name},
                                     {"max_connections", options.max_connections},
                                     {"file_limit", limit.rlim_cur}});
}

class TcpListener : public Listener {
 public:
  explicit TcpListener(std::shared_ptr<State> state) : state_(std::move(state)) {
    std::error_code ignored;
    port_ = state_->acceptor.local_endpoint(ignored).port();
  }
  ~TcpListener() override { Stop(); }

  void Start(Serve serve, net::Listener::Refuse refuse) override {
    state_->serve = std::move(serve);
    state_->refuse = std::move(refuse);
    WarnAboutFileLimit(state_->options);
    state_->loop->Spawn("net.accept", AcceptLoop(state_));
  }
  void Stop() override {
    state_->stopped = true;
    std::error_code ignored;
    state_->acceptor.close(ignored);
  }
  size_t sessions() const override { return state_->open; }
  uint16_t port() const override { return port_; }
  void SetLimits(const ListenerOptions& options) override {
    state_->options.proxy_from = options.proxy_from;
    state_->options.max_connections = options.max_connections;
    state_->options.max_per_address = options.max_per_address;
    state_->options.never_limited = options.never_limited;
    state_->options.proxy_timeout = options.proxy_timeout;
  }

 private:
  std::shared_ptr<State> state_;
  uint16_t port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(Loop& loop, ListenerOptions options) {
  auto state = std::make_shared<State>(loop, std::move(options));
  RETURN_IF_ERROR(net::Bind(*state));
  // There from the start, so that a first refusal shows as a rise.
  for (const std::string_view reason : {"connections", "address", "proxy"}) RefusalCounter(reason);
  state->open_gauge = observe::NewGauge("posthorn_net_connections", "open connections",
                                        {{"listener", state->options.name}});
  return std::make_unique<TcpListener>(std::move(state));
}

}  // namespace posthorn::net
