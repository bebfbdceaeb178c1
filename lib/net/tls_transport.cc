#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"
#include "lib/net/tcp_transport.h"
#include "lib/net/tls_context.h"

namespace posthorn::net {
namespace {

using Time = Socket::Time;

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPointer = std::unique_ptr<SSL, SslDeleter>;

// OpenSSL's reason for the last failure; empties its queue.
std::string Reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "connection lost";
}

class TlsTransport : public Transport {
 public:
  TlsTransport(std::shared_ptr<Socket> socket, std::shared_ptr<const TlsContext> context,
               SslPointer ssl)
      : socket_(std::move(socket)), context_(std::move(context)), ssl_(std::move(ssl)) {}
  ~TlsTransport() override { Close(); }

  static Task<absl::Status> Handshake(TlsTransport* self, Time deadline);
  void NoteResult(TlsSide side);

  Task<absl::Status> WaitReadable(Time deadline) override {
    if (std::exchange(more_, false) || SSL_pending(ssl_.get()) > 0) return Ready();
    return Socket::Wait(socket_, wanted_, deadline);
  }
  absl::StatusOr<size_t> ReadSome(std::span<char> into) override;
  Task<absl::Status> WriteAll(std::string_view bytes, Time deadline) override {
    return WriteAll(this, bytes, deadline);
  }
  Task<absl::StatusOr<std::unique_ptr<Transport>>> Handshake(TlsSetup, Time) override {
    co_return absl::FailedPreconditionError("TLS is active already");
  }
  void InterruptRead() override { socket_->Interrupt(); }
  void Close() override {
    SayGoodbye();
    socket_->Close();
  }
  void ShutdownWrite() override {
    SayGoodbye();
    socket_->ShutdownWrite();
  }
  const TlsInfo* tls() const override { return &info_; }
  std::string TlsExporter() const override;
  int native_handle() const override { return socket_->closed() ? -1 : socket_->fd(); }

 private:
  static Task<absl::Status> WriteAll(TlsTransport* self, std::string_view bytes, Time deadline);
  // OK when `result`, just returned by OpenSSL, only means to wait for wanted_.
  absl::Status Judge(int result);
  // close_notify, unless the connection is broken: OpenSSL must not be used after that.
  void SayGoodbye() {
    if (socket_->closed() || std::exchange(ended_, true)) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }

  std::shared_ptr<Socket> socket_;
  std::shared_ptr<const TlsContext> context_;
  SslPointer ssl_;
  TlsInfo info_;
  Socket::Direction wanted_ = Socket::Direction::kRead;
  bool more_ = false;  // the last read filled its buffer
  bool ended_ = true;  // no close_notify can or need be sent; true until the handshake is done
};

absl::Status TlsTransport::Judge(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      wanted_ = Socket::Direction::kRead;
      return absl::OkStatus();
    case SSL_ERROR_WANT_WRITE:
      wanted_ = Socket::Direction::kWrite;
      return absl::OkStatus();
    case SSL_ERROR_ZERO_RETURN:
      return absl::OutOfRangeError("end of stream");
    default:
      ended_ = true;
      return base::Unavailable(base::StrCat("TLS: ", Reason()));
  }
}

Task<absl::Status> TlsTransport::Handshake(TlsTransport* self, Time deadline) {
  while (true) {
    if (self->socket_->closed()) co_return base::Unavailable("connection closed");
    ERR_clear_error();
    const int result = SSL_do_handshake(self->ssl_.get());
    if (result == 1) break;
    const absl::Status status = self->Judge(result);
    if (!status.ok()) {
      const long verdict = SSL_get_verify_result(self->ssl_.get());
      const bool demanded = (SSL_get_verify_mode(self->ssl_.get()) & SSL_VERIFY_PEER) != 0;
      if (!demanded || verdict == X509_V_OK) co_return status;
      co_return base::Denied(base::StrCat("certificate: ", X509_verify_cert_error_string(verdict)));
    }
    CO_RETURN_IF_ERROR(co_await Socket::Wait(self->socket_, self->wanted_, deadline));
  }
  self->wanted_ = Socket::Direction::kRead;
  self->ended_ = false;
  co_return absl::OkStatus();
}

void TlsTransport::NoteResult(TlsSide side) {
  info_.version = SSL_get_version(ssl_.get());
  info_.cipher = SSL_get_cipher_name(ssl_.get());
  info_.bits = SSL_get_cipher_bits(ssl_.get(), nullptr);
  if (side == TlsSide::kClient) {
    info_.peer_verified = SSL_get0_peer_certificate(ssl_.get()) != nullptr &&
                          SSL_get_verify_result(ssl_.get()) == X509_V_OK;
  } else if (const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name)) {
    info_.server_name = name;
  }
}

absl::StatusOr<size_t> TlsTransport::ReadSome(std::span<char> into) {
  size_t total = 0;
  while (total < into.size()) {
    if (socket_->closed()) return base::Unavailable("connection closed");
    size_t got = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &got);
    if (result != 1) {
      const absl::Status status = Judge(result);
      // What was read counts first; the error comes back with the next call.
      if (!status.ok() && total == 0) return status;
      more_ = !status.ok();
      return total;
    }
    total += got;
  }
  more_ = true;
  return total;
}

Task<absl::Status> TlsTransport::WriteAll(TlsTransport* self, std::string_view bytes,
                                          Time deadline) {
  while (!bytes.empty()) {
    if (self->socket_->closed()) co_return base::Unavailable("connection closed");
    if (self->ended_) co_return base::Unavailable("TLS has ended");
    size_t sent = 0;
    ERR_clear_error();
    const auto reading = self->wanted_;
    const int result = SSL_write_ex(self->ssl_.get(), bytes.data(), bytes.size(), &sent);
    if (result == 1) {
      bytes.remove_prefix(sent);
      continue;
    }
    CO_RETURN_IF_ERROR(self->Judge(result));
    // What a reader waits for is not changed by what a writer waits for.
    const auto direction = std::exchange(self->wanted_, reading);
    CO_RETURN_IF_ERROR(co_await Socket::Wait(self->socket_, direction, deadline));
  }
  co_return absl::OkStatus();
}

std::string TlsTransport::TlsExporter() const {
  // [RFC9266 4.2] Without the extended master secret the value does not identify a TLS 1.2
  // connection.
  if (SSL_version(ssl_.get()) == TLS1_2_VERSION && SSL_get_extms_support(ssl_.get()) != 1)
    return {};
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  std::string value(32, '\0');
  const int done =
      SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(value.data()),
                                 value.size(), kLabel.data(), kLabel.size(), nullptr, 0, 0);
  return done == 1 ? value : std::string();
}

// SNI, and the name the certificate must have. Addresses are verified but never sent ([RFC6066 3]).
void NameServer(SSL* ssl, const std::string& server_name) {
  if (server_name.empty()) return;
  X509_VERIFY_PARAM* const parameters = SSL_get0_param(ssl);
  if (ParseAddress(server_name)) {
    X509_VERIFY_PARAM_set1_ip_asc(parameters, server_name.c_str());
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set1_host(parameters, server_name.c_str(), server_name.size());
  SSL_set_tlsext_host_name(ssl, server_name.c_str());
}

Task<absl::StatusOr<std::unique_ptr<Transport>>> OverPlain(std::unique_ptr<Transport> plain,
                                                           Transport::TlsSetup setup,
                                                           Time deadline) {
  co_return co_await plain->Handshake(std::move(setup), deadline);
}

}  // namespace

Task<absl::StatusOr<std::unique_ptr<Transport>>> TlsHandshake(std::shared_ptr<Socket> socket,
                                                              Transport::TlsSetup setup,
                                                              Time deadline) {
  if (!socket || socket->closed()) co_return base::Unavailable("connection closed");
  SslPointer ssl(SSL_new(setup.context->native()));
  if (!ssl || SSL_set_fd(ssl.get(), socket->fd()) != 1) co_return base::Internal(Reason());
  if (setup.side == Transport::TlsSide::kServer) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
    NameServer(ssl.get(), setup.server_name);
  }
  auto transport = std::make_unique<TlsTransport>(socket, setup.context, std::move(ssl));
  CO_RETURN_IF_ERROR(co_await TlsTransport::Handshake(transport.get(), deadline));
  transport->NoteResult(setup.side);
  co_return std::unique_ptr<Transport>(std::move(transport));
}

Task<absl::StatusOr<std::unique_ptr<Transport>>> Transport::AcceptTls(
    std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context, Time deadline) {
  return OverPlain(std::move(plain), {TlsSide::kServer, std::move(context), {}}, deadline);
}

Task<absl::StatusOr<std::unique_ptr<Transport>>> Transport::ConnectTls(
    std::unique_ptr<Transport> plain, std::shared_ptr<const TlsContext> context,
    std::string server_name, Time deadline) {
  return OverPlain(std::move(plain), {TlsSide::kClient, std::move(context), std::move(server_name)},
                   deadline);
}

}  // namespace posthorn::net
