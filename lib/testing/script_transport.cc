#include "lib/testing/script_transport.h"

#include <algorithm>
#include <utility>

#include "lib/base/strings.h"

namespace posthorn::testing {

using Time = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

// Shared by the peer and its transport; either may go first.
struct ScriptPeer::Wire {
  Wire(net::Loop& loop, size_t size) : chunk(size), changed(loop) {}
  size_t chunk;
  net::Signal changed;
  std::string to_read;
  std::string after_tls;
  std::string received;
  size_t taken = 0;
  net::Transport::TlsInfo tls_info{"TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, false, {}};
  bool ended = false;
  bool reset = false;
  bool reading = true;
  bool interrupted = false;
  bool closed = false;
  bool write_shut = false;
  bool tls = false;

  absl::Status Broken() const {
    if (closed) return base::Unavailable("connection closed");
    return reset ? base::Unavailable("connection reset") : absl::OkStatus();
  }
};

namespace {

template <class Wire>
class ScriptTransport : public net::Transport {
 public:
  explicit ScriptTransport(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  ~ScriptTransport() override {
    if (wire_) Close();
  }

  net::Task<absl::Status> WaitReadable(Time deadline) override {
    return WaitReadable(wire_, deadline);
  }
  absl::StatusOr<size_t> ReadSome(std::span<char> into) override {
    if (const auto broken = wire_->Broken(); !broken.ok()) return broken;
    size_t size = std::min(into.size(), wire_->to_read.size());
    if (wire_->chunk != 0) size = std::min(size, wire_->chunk);
    if (size == 0 && wire_->ended) return absl::OutOfRangeError("end of stream");
    std::copy_n(wire_->to_read.begin(), size, into.begin());
    wire_->to_read.erase(0, size);
    return size;
  }
  net::Task<absl::Status> WriteAll(std::string_view bytes, Time deadline) override {
    return Write(wire_, bytes, deadline);
  }
  net::Task<absl::StatusOr<std::unique_ptr<net::Transport>>> Handshake(TlsSetup setup,
                                                                       Time) override {
    if (const auto broken = wire_->Broken(); !broken.ok()) co_return broken;
    if (std::exchange(wire_->tls, true))
      co_return absl::FailedPreconditionError("TLS is active already");
    if (setup.side == TlsSide::kServer) wire_->tls_info.server_name = setup.server_name;
    wire_->to_read = std::exchange(wire_->after_tls, {});
    wire_->changed.NotifyAll();
    co_return std::make_unique<ScriptTransport>(std::exchange(wire_, nullptr));
  }
  void InterruptRead() override {
    wire_->interrupted = true;
    wire_->changed.NotifyAll();
  }
  void Close() override {
    wire_->closed = true;
    wire_->changed.NotifyAll();
  }
  void ShutdownWrite() override {
    wire_->write_shut = true;
    wire_->changed.NotifyAll();
  }
  const TlsInfo* tls() const override { return wire_->tls ? &wire_->tls_info : nullptr; }
  std::string TlsExporter() const override { return wire_->tls ? std::string(32, 'x') : ""; }

 private:
  static net::Task<absl::Status> WaitReadable(std::shared_ptr<Wire> wire, Time deadline) {
    while (wire->Broken().ok() && wire->to_read.empty() && !wire->ended) {
      if (std::exchange(wire->interrupted, false)) co_return absl::CancelledError("interrupted");
      if (!co_await Changed(wire, deadline))
        co_return absl::DeadlineExceededError("the peer is silent");
    }
    co_return wire->Broken();
  }
  static net::Task<absl::Status> Write(std::shared_ptr<Wire> wire, std::string_view bytes,
                                       Time deadline) {
    while (wire->Broken().ok() && !wire->reading) {
      if (!co_await Changed(wire, deadline))
        co_return absl::DeadlineExceededError("the peer is too slow");
    }
    const absl::Status broken = wire->Broken();
    if (!broken.ok()) co_return broken;
    wire->received.append(bytes);
    wire->changed.NotifyAll();
    co_return absl::OkStatus();
  }
  static net::Task<bool> Changed(std::shared_ptr<Wire> wire, Time deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    co_await wire->changed.WaitFor(left);
    co_return true;
  }

  std::shared_ptr<Wire> wire_;  // null after a handshake
};

}  // namespace

ScriptPeer::ScriptPeer(net::Loop& loop, size_t chunk)
    : loop_(&loop), wire_(std::make_shared<Wire>(loop, chunk)) {}

void ScriptPeer::Send(std::string_view bytes) {
  wire_->to_read.append(bytes);
  wire_->changed.NotifyAll();
}
void ScriptPeer::SendAfterTls(std::string_view bytes) {
  (wire_->tls ? wire_->to_read : wire_->after_tls).append(bytes);
  wire_->changed.NotifyAll();
}
void ScriptPeer::HalfClose() {
  wire_->ended = true;
  wire_->changed.NotifyAll();
}
void ScriptPeer::Reset() {
  wire_->reset = true;
  wire_->changed.NotifyAll();
}
void ScriptPeer::StopReading() { wire_->reading = false; }
void ScriptPeer::ResumeReading() {
  wire_->reading = true;
  wire_->changed.NotifyAll();
}

const std::string& ScriptPeer::received() const { return wire_->received; }
std::string ScriptPeer::TakeReceived() {
  const size_t from = std::exchange(wire_->taken, wire_->received.size());
  return wire_->received.substr(from);
}

namespace {
template <class Wire, class Condition>
net::Task<bool> WaitUntil(std::shared_ptr<Wire> wire, Condition condition, milliseconds limit) {
  const Time deadline = std::chrono::steady_clock::now() + limit;
  while (!condition(*wire)) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    co_await wire->changed.WaitFor(left);
  }
  co_return true;
}
template <class Wire>
net::Task<bool> WaitForText(std::shared_ptr<Wire> wire, std::string text, milliseconds limit) {
  const auto seen = [&text](const Wire& w) { return w.received.find(text) != std::string::npos; };
  co_await WaitUntil(wire, [&seen](const Wire& w) { return w.closed || seen(w); }, limit);
  co_return seen(*wire);
}
}  // namespace

net::Task<bool> ScriptPeer::WaitReceived(std::string text, milliseconds limit) {
  return WaitForText(wire_, std::move(text), limit);
}
net::Task<bool> ScriptPeer::WaitClosed(milliseconds limit) {
  return WaitUntil(wire_, [](const Wire& w) { return w.closed; }, limit);
}
bool ScriptPeer::closed() const { return wire_->closed; }
bool ScriptPeer::write_shut() const { return wire_->write_shut; }
bool ScriptPeer::tls_started() const { return wire_->tls; }

std::unique_ptr<net::Transport> ScriptPeer::TakeTransport() {
  return std::make_unique<ScriptTransport<Wire>>(wire_);
}
std::unique_ptr<net::Connection> ScriptPeer::TakeConnection() {
  return std::make_unique<net::Connection>(
      *loop_, TakeTransport(), net::Endpoint{"192.0.2.1", 40000}, net::Endpoint{"192.0.2.25", 25});
}

}  // namespace posthorn::testing
