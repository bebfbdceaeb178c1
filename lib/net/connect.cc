#include <asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/connection.h"
#include "lib/net/loop.h"
#include "lib/net/tcp_transport.h"

namespace posthorn::net {
namespace {

using asio::ip::tcp;

absl::StatusOr<tcp::endpoint> Parse(const std::string& address, uint16_t port) {
  std::error_code error;
  const auto parsed = asio::ip::make_address(address, error);
  if (error) return base::Invalid(base::StrCat("not a numeric address: ", address));
  return tcp::endpoint(parsed, port);
}

absl::StatusOr<tcp::socket> Open(Loop& loop, const tcp::endpoint& to, const std::string& bind_to) {
  tcp::socket socket(loop.context());
  std::error_code error;
  socket.open(to.protocol(), error);
  if (!error && !bind_to.empty()) {
    ASSIGN_OR_RETURN(const tcp::endpoint from, Parse(bind_to, 0));
    socket.bind(from, error);
  }
  if (error) return base::Unavailable(error.message());
  return socket;
}

int TakeSocketError(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Endpoint LocalOf(int fd) {
  tcp::endpoint local;
  auto size = static_cast<socklen_t>(local.capacity());
  if (getsockname(fd, local.data(), &size) != 0) return {};
  local.resize(size);
  return ToEndpoint(local);
}

}  // namespace

Task<absl::StatusOr<std::unique_ptr<Connection>>> Connect(Loop& loop, std::string address,
                                                          uint16_t port, std::string bind_to,
                                                          std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  CO_ASSIGN_OR_RETURN(const tcp::endpoint to, Parse(address, port));
  CO_ASSIGN_OR_RETURN(tcp::socket socket, Open(loop, to, bind_to));
  auto transport = std::make_unique<TcpTransport>(std::move(socket));
  const int fd = transport->native_handle();
  if (connect(fd, to.data(), static_cast<socklen_t>(to.size())) != 0) {
    if (errno != EINPROGRESS) co_return base::Unavailable(std::strerror(errno));
    CO_RETURN_IF_ERROR(co_await transport->WaitWritable(deadline));
    if (const int error = TakeSocketError(fd); error != 0) {
      co_return base::Unavailable(std::strerror(error));
    }
  }
  Endpoint local = LocalOf(fd);
  co_return std::make_unique<Connection>(loop, std::move(transport), ToEndpoint(to),
                                         std::move(local));
}

}  // namespace posthorn::net
