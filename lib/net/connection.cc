#include "lib/net/connection.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/connection_impl.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;
using Time = std::chrono::steady_clock::time_point;

constexpr size_t kMaxBuffered = 65536;

// Reads land here; only what is left over goes to memory of the connection.
std::span<char> ThreadBuffer() {
  static thread_local std::array<char, kMaxBuffered> buffer;
  return buffer;
}

// Bytes in the buffers of all connections of this process.
std::atomic<int64_t>& BufferBytes() {
  static std::atomic<int64_t>* const kBytes = [] {
    auto* bytes = new std::atomic<int64_t>(0);
    observe::NewGaugeCallback("posthorn_process_memory_bytes", "Memory by what it is for",
                              {{"use", "connection_buffers"}},
                              [bytes] { return static_cast<double>(bytes->load()); });
    return bytes;
  }();
  return *kBytes;
}

// Also for limits like milliseconds::max().
Time DeadlineIn(milliseconds limit) {
  constexpr milliseconds kForEver = std::chrono::hours(24 * 365);
  return std::chrono::steady_clock::now() + std::min(limit, kForEver);
}

}  // namespace

size_t Connection::Impl::FindLineEnd() {
  const size_t found = in.find("\r\n", start + scanned);
  // A CR at the end may be the first half.
  if (found == std::string::npos) {
    const size_t unread = in.size() - start;
    scanned = unread > 0 && in.back() == '\r' ? unread - 1 : unread;
    return found;
  }
  scanned = found - start;
  return found - start;
}

void Connection::Impl::Take(size_t bytes) {
  start += std::min(bytes, in.size() - start);
  scanned = 0;
}

void Connection::Impl::SkipRestOfLine() {
  const size_t end = FindLineEnd();
  skipping = end == std::string::npos;
  Take(skipping ? scanned : end + 2);
}

void Connection::Impl::Compact() {
  if (start == in.size()) {
    std::string().swap(in);
  } else {
    in.erase(0, start);
  }
  start = 0;
  CountBuffers(0);
}

void Connection::Impl::CountBuffers(size_t writing) {
  // A string's own 15 bytes are not on the heap.
  constexpr size_t kInside = 15;
  const auto heap = [](size_t capacity) { return capacity > kInside ? capacity : 0; };
  const size_t now = heap(in.capacity()) + heap(out.capacity()) + heap(writing);
  if (now == counted) return;
  BufferBytes().fetch_add(static_cast<int64_t>(now) - static_cast<int64_t>(counted),
                          std::memory_order_relaxed);
  counted = now;
}

absl::Status Connection::Impl::Receive(size_t at_most) {
  auto got = transport->ReadSome(ThreadBuffer().first(std::min(at_most, kMaxBuffered)));
  if (!got.ok()) return got.status();
  const std::string_view bytes(ThreadBuffer().data(), *got);
  bytes_read += bytes.size();
  if (refuse_proxy && proxy_guard.Sees(bytes)) {
    observe::Info("net.proxy.refused", {{"peer", peer.address}});
    Close();
    return base::Unavailable("PROXY header from a peer that may not send one");
  }
  in.append(bytes);
  CountBuffers(0);
  if (skipping) SkipRestOfLine();
  return absl::OkStatus();
}

void Connection::Impl::Close() {
  closed = true;
  if (transport) transport->Close();
}

Task<absl::Status> Connection::Impl::ReadMore(Impl* self, Time deadline, size_t at_most) {
  self->Compact();
  size_t before = self->in.size();
  while (self->skipping || self->unread().size() <= before) {
    if (self->skipping) before = 0;
    if (self->closed) co_return base::Unavailable("connection closed");
    CO_RETURN_IF_ERROR(co_await self->transport->WaitReadable(deadline));
    if (self->closed) co_return base::Unavailable("connection closed");
    CO_RETURN_IF_ERROR(self->Receive(at_most));
    if (self->start != 0) self->Compact();
  }
  co_return absl::OkStatus();
}

Task<absl::StatusOr<std::string_view>> Connection::Impl::ReadLine(Impl* self, size_t max,
                                                                  Time deadline) {
  while (true) {
    const size_t end = self->FindLineEnd();
    const bool whole = end != std::string::npos;
    // Without its end, what was scanned is surely part of the line (a last CR is not).
    if ((whole ? end : self->scanned) > max) {
      self->SkipRestOfLine();
      co_return base::Exhausted("line too long");
    }
    if (whole) {
      const std::string_view line = self->unread().substr(0, end);
      self->Take(end + 2);
      co_return line;
    }
    const bool inside = !self->unread().empty() || self->skipping;
    const absl::Status status = co_await ReadMore(self, deadline, kMaxBuffered);
    if (absl::IsOutOfRange(status) && inside) co_return base::Unavailable("closed inside a line");
    if (!status.ok()) co_return status;
  }
}

Task<absl::Status> Connection::Impl::Flush(Impl* self, Time deadline) {
  if (self->flushing) co_return absl::OkStatus();
  if (self->closed) co_return base::Unavailable("connection closed");
  self->flushing = true;
  absl::Status status = self->write_error;
  while (status.ok() && !self->out.empty()) {
    const std::string bytes = std::exchange(self->out, {});
    self->CountBuffers(bytes.capacity());
    status = co_await self->transport->WriteAll(bytes, deadline);
    if (status.ok()) self->bytes_written += bytes.size();
  }
  self->flushing = false;
  self->write_error = status;
  if (!status.ok()) std::string().swap(self->out);
  self->CountBuffers(0);
  co_return status;
}

Task<absl::Status> Connection::Impl::StartTls(Impl* self, Transport::TlsSetup setup,
                                              Time deadline) {
  if (self->closed) co_return base::Unavailable("connection closed");
  // [RFC3207 4.2] [RFC9051 6.2.1] Nothing that came before the handshake may count after it.
  self->Take(self->in.size());
  self->Compact();
  self->skipping = false;
  auto secured = co_await self->transport->Handshake(std::move(setup), deadline);
  if (secured.ok() && self->closed) secured = base::Unavailable("connection closed");
  if (!secured.ok()) {
    self->Close();
    co_return secured.status();
  }
  self->transport = *std::move(secured);
  co_return absl::OkStatus();
}

Connection::Connection(Loop& loop, std::unique_ptr<Transport> transport, Endpoint peer,
                       Endpoint local)
    : impl_(std::make_unique<Impl>()) {
  impl_->loop = &loop;
  impl_->transport = std::move(transport);
  impl_->peer = std::move(peer);
  impl_->local = std::move(local);
}

Connection::~Connection() {
  Close();
  std::string().swap(impl_->in);
  std::string().swap(impl_->out);
  impl_->CountBuffers(0);
}

Task<absl::StatusOr<std::string_view>> Connection::ReadLine(size_t max, milliseconds limit) {
  return Impl::ReadLine(impl_.get(), max, DeadlineIn(limit));
}

Task<absl::Status> Connection::Fill(milliseconds limit) {
  if (!buffered().empty()) return Impl::Now(absl::OkStatus());
  return Impl::ReadMore(impl_.get(), DeadlineIn(limit), kMaxBuffered);
}

Task<absl::Status> Connection::FillMore(milliseconds limit, size_t at_most) {
  const size_t room = kMaxBuffered - std::min(buffered().size(), kMaxBuffered);
  if (room == 0) return Impl::Now(base::Exhausted("64 KiB are buffered"));
  return Impl::ReadMore(impl_.get(), DeadlineIn(limit), std::min(at_most, room));
}

Task<absl::StatusOr<std::string>> Connection::ReadExactly(size_t size, milliseconds limit) {
  return Impl::ReadExactly(impl_.get(), size, DeadlineIn(limit));
}

Task<absl::StatusOr<std::string>> Connection::Impl::ReadExactly(Impl* self, size_t size,
                                                                Time deadline) {
  std::string bytes;
  while (bytes.size() < size) {
    if (self->unread().empty()) {
      const absl::Status status =
          co_await ReadMore(self, deadline, std::min(size - bytes.size(), kMaxBuffered));
      // The first bytes are gone from the buffer: after an error the caller can only give up.
      if (absl::IsOutOfRange(status) && !bytes.empty())
        co_return base::Unavailable("closed inside");
      if (!status.ok()) co_return status;
    }
    const std::string_view part = self->unread().substr(0, size - bytes.size());
    bytes.append(part);
    self->Take(part.size());
  }
  co_return bytes;
}

std::string_view Connection::buffered() const {
  return impl_->skipping ? std::string_view() : impl_->unread();
}
void Connection::Consume(size_t bytes) { impl_->Take(bytes); }
bool Connection::HasLine() const { return impl_->FindLineEnd() != std::string::npos; }
void Connection::Interrupt() {
  if (impl_->transport) impl_->transport->InterruptRead();
}

void Connection::Append(std::string_view bytes) { impl_->out.append(bytes); }
size_t Connection::pending() const { return impl_->out.size(); }
Task<absl::Status> Connection::Flush(milliseconds limit) {
  return Impl::Flush(impl_.get(), DeadlineIn(limit));
}

Task<absl::Status> Connection::StartTls(std::shared_ptr<const TlsContext> context,
                                        milliseconds limit) {
  return Impl::StartTls(impl_.get(), {Transport::TlsSide::kServer, std::move(context), {}},
                        DeadlineIn(limit));
}
Task<absl::Status> Connection::StartTlsClient(std::shared_ptr<const TlsContext> context,
                                              std::string server_name, milliseconds limit) {
  return Impl::StartTls(impl_.get(),
                        {Transport::TlsSide::kClient, std::move(context), std::move(server_name)},
                        DeadlineIn(limit));
}

const Transport::TlsInfo* Connection::tls() const { return impl_->transport->tls(); }
std::string Connection::TlsExporter() const { return impl_->transport->TlsExporter(); }
void Connection::Close() { impl_->Close(); }
void Connection::ShutdownWrite() { impl_->transport->ShutdownWrite(); }

const Endpoint& Connection::peer() const { return impl_->peer; }
const Endpoint& Connection::local() const { return impl_->local; }
void Connection::SetEndpoints(Endpoint peer, Endpoint local) {
  impl_->peer = std::move(peer);
  impl_->local = std::move(local);
}
void Connection::RefuseProxyHeader() { impl_->refuse_proxy = true; }
Loop& Connection::loop() { return *impl_->loop; }
uint64_t Connection::bytes_read() const { return impl_->bytes_read; }
uint64_t Connection::bytes_written() const { return impl_->bytes_written; }

}  // namespace posthorn::net
