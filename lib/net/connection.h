#pragma once

// One client or server connection: a byte stream that can become TLS in place, with a small reader on top.
// Invariants:
//  1. An idle connection holds no buffer: Fill() waits for readiness first, and reads into memory of the thread.
//  2. StartTls drops plaintext that was already buffered ([RFC3207 4.2], [RFC9051 6.2.1]: command injection).
//  3. Every wait has a deadline; when it passes, kDeadlineExceeded is returned and nothing was consumed.

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::net {

class Loop;
class TlsContext;

// The bytes underneath: a socket, TLS over it, or a script in tests.
class Transport {
 public:
  virtual ~Transport() = default;
  // Returns once a read would not block (or the peer is gone), or kDeadlineExceeded.
  virtual Task<absl::Status> WaitReadable(std::chrono::steady_clock::time_point deadline) = 0;
  // Reads what is there without waiting. 0: nothing now. kUnavailable: reset. kOutOfRange: clean end of stream.
  virtual absl::StatusOr<size_t> ReadSome(std::span<char> into) = 0;
  // Writes all; kDeadlineExceeded when the peer does not take it in time, kUnavailable when it is gone.
  virtual Task<absl::Status> WriteAll(std::string_view bytes,
                                      std::chrono::steady_clock::time_point deadline) = 0;
  // Server or client side handshake over this transport; replaces it. Consumes `plain`.
  static Task<absl::StatusOr<std::unique_ptr<Transport>>> AcceptTls(
      std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context,
      std::chrono::steady_clock::time_point deadline);
  static Task<absl::StatusOr<std::unique_ptr<Transport>>> ConnectTls(
      std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context,
      std::string server_name, std::chrono::steady_clock::time_point deadline);
  // Closes at once; waits end with kUnavailable. May be called twice.
  virtual void Close() = 0;
  // Stops sending (half close) after what was written.
  virtual void ShutdownWrite() {}
  // "TLSv1.3", cipher, bits; empty on plain transports.
  struct TlsInfo {
    std::string version;
    std::string cipher;
    int bits = 0;
    bool peer_verified = false;
    std::string server_name;  // SNI, server side
  };
  virtual const TlsInfo* tls() const { return nullptr; }
  // [RFC9266] tls-exporter channel binding, 32 bytes; empty on plain transports.
  virtual std::string TlsExporter() const { return {}; }
  virtual int native_handle() const { return -1; }
};

struct Endpoint {
  std::string address;  // "192.0.2.1", "2001:db8::1", without zone; v4-mapped addresses as v4
  uint16_t port = 0;
};

class Connection {
 public:
  Connection(Loop& loop, std::unique_ptr<Transport> transport, Endpoint peer, Endpoint local);
  ~Connection();
  Connection(const Connection&) = delete;

  // The next line without its CRLF. At most `max` bytes before it: kResourceExhausted then, with the rest of
  // that line thrown away as it arrives (bounded memory), so that the next ReadLine begins at the next line.
  // A bare LF or bare CR inside is left in the line for the caller to judge. `limit` bounds the wait.
  // kOutOfRange: the peer closed between lines; kUnavailable: reset, or closed inside a line.
  // The view is valid until the next call that reads.
  Task<absl::StatusOr<std::string_view>> ReadLine(size_t max, std::chrono::milliseconds limit);
  // Waits until at least one byte is buffered.
  Task<absl::Status> Fill(std::chrono::milliseconds limit);
  // What is buffered and not consumed. At most 64 KiB is buffered.
  std::string_view buffered() const;
  void Consume(size_t bytes);
  // True when a whole line is buffered: another pipelined command, do not flush yet.
  bool HasLine() const;
  // Reads exactly `size` bytes (use for small literals only).
  Task<absl::StatusOr<std::string>> ReadExactly(size_t size, std::chrono::milliseconds limit);

  // Output is gathered until Flush or until 64 KiB wait, then written (WriteSoon may suspend for that).
  void Append(std::string_view bytes);
  size_t pending() const;
  Task<absl::Status> Flush(std::chrono::milliseconds limit);

  Task<absl::Status> StartTls(std::shared_ptr<const TlsContext> context, std::chrono::milliseconds limit);
  Task<absl::Status> StartTlsClient(std::shared_ptr<const TlsContext> context, std::string server_name,
                                    std::chrono::milliseconds limit);
  const Transport::TlsInfo* tls() const;
  std::string TlsExporter() const;
  void Close();
  void ShutdownWrite();

  // After PROXY: the announced addresses. All decisions use these.
  const Endpoint& peer() const;
  const Endpoint& local() const;
  void SetEndpoints(Endpoint peer, Endpoint local);
  Loop& loop();
  // Bytes in and out so far.
  uint64_t bytes_read() const;
  uint64_t bytes_written() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Connects to "address" (a numeric IP) and port; kUnavailable or kDeadlineExceeded. `bind_to` may be empty.
Task<absl::StatusOr<std::unique_ptr<Connection>>> Connect(Loop& loop, std::string address, uint16_t port,
                                                          std::string bind_to,
                                                          std::chrono::milliseconds limit);

}  // namespace posthorn::net
