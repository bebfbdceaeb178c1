#include "lib/net/socket.h"

#include <sys/socket.h>

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

#include "lib/base/strings.h"
#include "lib/net/network.h"

namespace posthorn::net {

Socket::Socket(asio::ip::tcp::socket socket)
    : socket_(std::move(socket)), timer_(socket_.get_executor()) {
  std::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Task<absl::Status> Socket::Wait(std::shared_ptr<Socket> self, Direction direction, Time deadline) {
  self->pending_[static_cast<size_t>(direction)] = {.deadline = deadline, .waiting = true};
  self->Arm(deadline);
  const auto type =
      direction == Direction::kRead ? asio::socket_base::wait_read : asio::socket_base::wait_write;
  // A cancel meant for the other direction shows as kAborted: wait on.
  absl::Status status = self->Verdict(direction, asio::error::operation_aborted);
  while (absl::IsAborted(status)) {
    std::error_code error;
    co_await self->socket_.async_wait(type, asio::redirect_error(asio::use_awaitable, error));
    status = self->Verdict(direction, error);
  }
  self->pending_[static_cast<size_t>(direction)].waiting = false;
  co_return status;
}

absl::Status Socket::Verdict(Direction direction, const std::error_code& error) {
  if (closed_) return base::Unavailable("connection closed");
  if (!error) return absl::OkStatus();
  if (error != asio::error::operation_aborted) return base::Unavailable(error.message());
  if (direction == Direction::kRead && std::exchange(interrupted_, false)) {
    return absl::CancelledError("interrupted");
  }
  if (pending_[static_cast<size_t>(direction)].expired) {
    return absl::DeadlineExceededError("the peer is too slow");
  }
  return absl::AbortedError("");
}

void Socket::Interrupt() {
  interrupted_ = true;
  std::error_code ignored;
  if (pending_[0].waiting && !closed_) socket_.cancel(ignored);
}

void Socket::Close() {
  if (std::exchange(closed_, true)) return;
  timer_.cancel();
  // Unread input would turn the close into a reset, which can overtake the last reply.
  char discarded[4096];
  for (int i = 0; i < 16; ++i) {
    if (recv(fd(), discarded, sizeof(discarded), MSG_DONTWAIT) <= 0) break;
  }
  std::error_code ignored;
  socket_.close(ignored);
}

void Socket::ShutdownWrite() {
  std::error_code ignored;
  if (!closed_) socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Socket::Arm(Time deadline) {
  if (deadline == Time::max() || closed_ || (armed_ && armed_for_ <= deadline)) return;
  armed_ = true;
  armed_for_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (error) return;
    self->armed_ = false;
    self->OnTimer();
  });
}

void Socket::OnTimer() {
  const Time now = std::chrono::steady_clock::now();
  Time next = Time::max();
  bool expired = false;
  for (Pending& pending : pending_) {
    if (!pending.waiting) continue;
    pending.expired = pending.deadline <= now;
    expired = expired || pending.expired;
    if (!pending.expired && pending.deadline < next) next = pending.deadline;
  }
  std::error_code ignored;
  if (expired && !closed_) socket_.cancel(ignored);
  Arm(next);
}

Endpoint ToEndpoint(const asio::ip::tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  if (address.is_v4()) return {address.to_v4().to_string(), endpoint.port()};
  return {FormatV6(address.to_v6().to_bytes().data()), endpoint.port()};
}

}  // namespace posthorn::net
