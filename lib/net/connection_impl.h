#pragma once

// Inside of Connection. The coroutines are static members: they take a pointer, so that nothing
// hides that the Connection must outlive them.

#include <memory>
#include <string>
#include <string_view>

#include "lib/net/connection.h"
#include "lib/net/proxy_protocol.h"

namespace posthorn::net {

struct Connection::Impl {
  using Time = std::chrono::steady_clock::time_point;

  static Task<absl::Status> Now(absl::Status status) { co_return status; }
  // Waits until the unread part has grown.
  static Task<absl::Status> ReadMore(Impl* self, Time deadline, size_t at_most);
  static Task<absl::StatusOr<std::string_view>> ReadLine(Impl* self, size_t max, Time deadline);
  static Task<absl::StatusOr<std::string>> ReadExactly(Impl* self, size_t size, Time deadline);
  static Task<absl::Status> Flush(Impl* self, Time deadline);
  static Task<absl::Status> StartTls(Impl* self, Transport::TlsSetup setup, Time deadline);

  std::string_view unread() const { return std::string_view(in).substr(start); }
  // Offset of the first CRLF in the unread part, or npos. Looks at no byte twice.
  size_t FindLineEnd();
  void Take(size_t bytes);
  void SkipRestOfLine();
  // Gives memory back; views into the buffer end here.
  void Compact();
  absl::Status Receive(size_t at_most);
  // Tells the metric of all connections' buffers; `writing` is what is on its way out.
  void CountBuffers(size_t writing);
  void Close();

  Loop* loop = nullptr;
  std::unique_ptr<Transport> transport;
  std::string in;
  size_t start = 0;    // of the unread part
  size_t scanned = 0;  // of the unread part: no line ends before here
  std::string out;
  absl::Status write_error;
  Endpoint peer;
  Endpoint local;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  ProxyGuard proxy_guard;
  bool refuse_proxy = false;
  bool skipping = false;  // inside a line that was too long
  bool flushing = false;
  bool closed = false;
  size_t counted = 0;  // bytes of buffers, as the metric knows them
};

}  // namespace posthorn::net
