#pragma once

// Inside of lib/net: a non-blocking TCP socket whose waits have deadlines. One timer serves all of
// them: it is armed once, and when it fires it looks whose deadline has passed, so that a busy
// session re-arms nothing.

#include <array>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "lib/net/endpoint.h"
#include "lib/net/task.h"

namespace posthorn::net {

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Direction { kRead, kWrite };

  // Makes `socket` non-blocking and sets TCP_NODELAY.
  explicit Socket(asio::ip::tcp::socket socket);

  // OK when a read or write would not block; kDeadlineExceeded, kUnavailable (closed), kCancelled
  // (Interrupt). One wait for each direction at a time.
  static Task<absl::Status> Wait(std::shared_ptr<Socket> self, Direction direction, Time deadline);
  // Ends the present or the next wait for reading with kCancelled.
  void Interrupt();
  // May be called twice; waits end with kUnavailable.
  void Close();
  void ShutdownWrite();
  bool closed() const { return closed_; }
  int fd() { return socket_.native_handle(); }

 private:
  struct Pending {
    Time deadline;
    bool waiting = false;
    bool expired = false;
  };
  absl::Status Verdict(Direction direction, const std::error_code& error);
  void Arm(Time deadline);
  void OnTimer();

  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  Time armed_for_;
  std::array<Pending, 2> pending_;
  bool armed_ = false;
  bool closed_ = false;
  bool interrupted_ = false;
};

Endpoint ToEndpoint(const asio::ip::tcp::endpoint& endpoint);

}  // namespace posthorn::net
