#pragma once

// Inside of lib/net: plain bytes over a socket.

#include <memory>

#include "lib/net/connection.h"
#include "lib/net/socket.h"

namespace posthorn::net {

class TcpTransport : public Transport {
 public:
  explicit TcpTransport(asio::ip::tcp::socket socket);
  ~TcpTransport() override;
  Task<absl::Status> WaitReadable(std::chrono::steady_clock::time_point deadline) override;
  absl::StatusOr<size_t> ReadSome(std::span<char> into) override;
  Task<absl::Status> WriteAll(std::string_view bytes,
                              std::chrono::steady_clock::time_point deadline) override;
  Task<absl::StatusOr<std::unique_ptr<Transport>>> Handshake(
      TlsSetup setup, std::chrono::steady_clock::time_point deadline) override;
  void InterruptRead() override;
  void Close() override;
  void ShutdownWrite() override;
  int native_handle() const override;
  // For connecting: as WaitReadable, for writing.
  Task<absl::Status> WaitWritable(std::chrono::steady_clock::time_point deadline);

 private:
  std::shared_ptr<Socket> socket_;  // null when TLS took it over
  // The last read filled its buffer: there is probably more, so the next wait is skipped.
  bool more_ = false;
};

// OpenSSL over `socket` (tls_transport.cc).
Task<absl::StatusOr<std::unique_ptr<Transport>>> TlsHandshake(
    std::shared_ptr<Socket> socket, Transport::TlsSetup setup,
    std::chrono::steady_clock::time_point deadline);
// What WaitReadable returns when nothing need be waited for.
Task<absl::Status> Ready();

}  // namespace posthorn::net
