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
#include "lib/net/endpoint.h"
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
  enum class TlsSide { kServer, kClient };
  struct TlsSetup {
    TlsSide side;
    std::shared_ptr<const TlsContext> context;
    std::string server_name;  // client: SNI, and the name that must be in the certificate
  };
  // The handshake over this transport, which is of no use after success: the result replaces it. It must stay alive
  // meanwhile. kDeadlineExceeded, kPermissionDenied (certificate not trusted), kUnavailable (anything else).
  virtual Task<absl::StatusOr<std::unique_ptr<Transport>>> Handshake(
      TlsSetup setup, std::chrono::steady_clock::time_point deadline) = 0;
  // The same for transports that nobody else looks at; `plain` is consumed.
  static Task<absl::StatusOr<std::unique_ptr<Transport>>> AcceptTls(
      std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context,
      std::chrono::steady_clock::time_point deadline);
  static Task<absl::StatusOr<std::unique_ptr<Transport>>> ConnectTls(
      std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context,
      std::string server_name, std::chrono::steady_clock::time_point deadline);
  // Ends the present WaitReadable, or else the next one that would wait, with kCancelled.
  virtual void InterruptRead() = 0;
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
  // Waits until at least one byte is buffered. kOutOfRange: the peer closed; kUnavailable: reset or closed here.
  Task<absl::Status> Fill(std::chrono::milliseconds limit);
  // Waits until more is buffered than now; takes at most `at_most` bytes from the peer. kResourceExhausted when
  // 64 KiB are buffered already.
  Task<absl::Status> FillMore(std::chrono::milliseconds limit, size_t at_most = 65536);
  // Wakes the coroutine that waits for input (or the next one that will): its call returns kCancelled, nothing is
  // consumed and the connection stays good. For drain and for news while a session idles. Wake-ups may be
  // spurious: on kCancelled look at your conditions and wait again.
  void Interrupt();
  // What is buffered and not consumed. At most 64 KiB is buffered.
  std::string_view buffered() const;
  void Consume(size_t bytes);
  // True when a whole line is buffered: another pipelined command, do not flush yet.
  bool HasLine() const;
  // Reads exactly `size` bytes (use for small literals only).
  Task<absl::StatusOr<std::string>> ReadExactly(size_t size, std::chrono::milliseconds limit);

  // Output is gathered until Flush; flush whenever pending() passes 64 KiB, memory is bounded by the caller only.
  void Append(std::string_view bytes);
  size_t pending() const;
  // Writes all that was appended, also what is appended meanwhile. `limit` bounds the whole: kDeadlineExceeded when
  // the peer does not take it in time, kUnavailable when it is gone; nothing can be written after an error. When
  // another coroutine is flushing, that one writes these bytes too and this returns at once.
  Task<absl::Status> Flush(std::chrono::milliseconds limit);

  // What is buffered is dropped. After an error the connection is closed. Flush first.
  Task<absl::Status> StartTls(std::shared_ptr<const TlsContext> context, std::chrono::milliseconds limit);
  Task<absl::Status> StartTlsClient(std::shared_ptr<const TlsContext> context, std::string server_name,
                                    std::chrono::milliseconds limit);
  // Null on plain connections.
  const Transport::TlsInfo* tls() const;
  std::string TlsExporter() const;
  // At once, from any coroutine of the loop; one that waits on this connection gets kUnavailable. What was appended
  // and not flushed is lost.
  void Close();
  void ShutdownWrite();

  // After PROXY: the announced addresses. All decisions use these.
  const Endpoint& peer() const;
  const Endpoint& local() const;
  void SetEndpoints(Endpoint peer, Endpoint local);
  // A peer that begins with a PROXY header (version 1 or 2) is cut off: it is not one that may announce addresses.
  void RefuseProxyHeader();
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
