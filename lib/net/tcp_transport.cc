#include "lib/net/tcp_transport.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::net {
namespace {

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

Task<absl::Status> SendAll(std::shared_ptr<Socket> socket, std::string_view bytes,
                           Socket::Time deadline) {
  while (!bytes.empty()) {
    if (socket->closed()) co_return base::Unavailable("connection closed");
    const ssize_t sent =
        send(socket->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (WouldBlock(errno)) {
      CO_RETURN_IF_ERROR(co_await Socket::Wait(socket, Socket::Direction::kWrite, deadline));
    } else {
      co_return base::Unavailable(std::strerror(errno));
    }
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Failed(absl::Status status) { co_return status; }

}  // namespace

Task<absl::Status> Ready() { co_return absl::OkStatus(); }

TcpTransport::TcpTransport(asio::ip::tcp::socket socket)
    : socket_(std::make_shared<Socket>(std::move(socket))) {}

TcpTransport::~TcpTransport() { Close(); }

Task<absl::Status> TcpTransport::WaitReadable(std::chrono::steady_clock::time_point deadline) {
  if (!socket_) return Failed(base::Unavailable("connection closed"));
  if (std::exchange(more_, false)) return Ready();
  return Socket::Wait(socket_, Socket::Direction::kRead, deadline);
}

absl::StatusOr<size_t> TcpTransport::ReadSome(std::span<char> into) {
  if (!socket_ || socket_->closed()) return base::Unavailable("connection closed");
  const ssize_t got = recv(socket_->fd(), into.data(), into.size(), MSG_DONTWAIT);
  if (got == 0) return absl::OutOfRangeError("end of stream");
  if (got < 0 && WouldBlock(errno)) return size_t{0};
  if (got < 0) return base::Unavailable(std::strerror(errno));
  more_ = static_cast<size_t>(got) == into.size();
  return static_cast<size_t>(got);
}

Task<absl::Status> TcpTransport::WriteAll(std::string_view bytes,
                                          std::chrono::steady_clock::time_point deadline) {
  if (!socket_) return Failed(base::Unavailable("connection closed"));
  return SendAll(socket_, bytes, deadline);
}

Task<absl::StatusOr<std::unique_ptr<Transport>>> TcpTransport::Handshake(
    TlsSetup setup, std::chrono::steady_clock::time_point deadline) {
  // The socket stays here meanwhile, so that Close() ends the handshake.
  auto secured = co_await TlsHandshake(socket_, std::move(setup), deadline);
  if (secured.ok()) socket_.reset();
  co_return secured;
}

void TcpTransport::InterruptRead() {
  if (socket_) socket_->Interrupt();
}

void TcpTransport::Close() {
  if (socket_) socket_->Close();
}

void TcpTransport::ShutdownWrite() {
  if (socket_) socket_->ShutdownWrite();
}

Task<absl::Status> TcpTransport::WaitWritable(std::chrono::steady_clock::time_point deadline) {
  return Socket::Wait(socket_, Socket::Direction::kWrite, deadline);
}

int TcpTransport::native_handle() const {
  return socket_ && !socket_->closed() ? socket_->fd() : -1;
}

}  // namespace posthorn::net
