#pragma once

// A peer that lives in the test: what it sends arrives in chunks of a chosen size, what it receives
// is kept. It can stall, half-close and reset. TLS is only pretended: after the handshake bytes go
// on as plain text.

#include <memory>
#include <string>
#include <string_view>

#include "lib/net/connection.h"
#include "lib/net/loop.h"

namespace posthorn::testing {

class ScriptPeer {
 public:
  // `chunk` bytes become readable at a time; 0: all that was sent.
  explicit ScriptPeer(net::Loop& loop, size_t chunk = 0);
  ScriptPeer(const ScriptPeer&) = delete;

  void Send(std::string_view bytes);
  // Becomes readable only after a TLS handshake (what Send() gave before it and was not read is
  // lost then).
  void SendAfterTls(std::string_view bytes);
  // A clean end of stream after what was sent.
  void HalfClose();
  // Reads and writes fail at once, what was sent and not read is lost.
  void Reset();
  // Writes wait until their deadline, or until ResumeReading.
  void StopReading();
  void ResumeReading();

  // All that the other side wrote.
  const std::string& received() const;
  // What it wrote since the last call.
  std::string TakeReceived();
  // Returns true once all of received() contains `text`, false when `limit` passed or the other
  // side closed before.
  net::Task<bool> WaitReceived(std::string text,
                               std::chrono::milliseconds limit = std::chrono::seconds(10));
  // Until the other side has closed; false after `limit`.
  net::Task<bool> WaitClosed(std::chrono::milliseconds limit = std::chrono::seconds(10));
  bool closed() const;      // Transport::Close
  bool write_shut() const;  // Transport::ShutdownWrite
  bool tls_started() const;

  // The other side; once.
  std::unique_ptr<net::Transport> TakeTransport();
  // The same as a connection from 192.0.2.1 port 40000 to 192.0.2.25 port 25.
  std::unique_ptr<net::Connection> TakeConnection();

  struct Wire;

 private:
  net::Loop* loop_;
  std::shared_ptr<Wire> wire_;
};

}  // namespace posthorn::testing
