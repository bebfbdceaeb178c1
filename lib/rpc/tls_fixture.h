#pragma once

// For tests of connections over TCP with certificates: an authority, certificates in files, a
// server that tells the role it saw, and clients.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/strings.h"
#include "lib/certs/issue.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/rpc_fixture.h"
#include "lib/testing/free_port.h"

namespace posthorn::rpc {

inline constexpr Method<common::v1::Event, common::v1::Event> kGatewaysOnly{
    "/posthorn.test.Test/GatewaysOnly"};

inline net::Task<absl::StatusOr<common::v1::Event>> TellRole(const CallContext& context,
                                                             common::v1::Event event) {
  event.set_peer(context.role);
  co_return event;
}

inline constexpr Method<common::v1::Event, common::v1::Event> kChat{"/posthorn.test.Test/Chat"};

inline net::Task<absl::Status> Chat(ServerCall& call) {
  common::v1::Event event;
  for (;;) {
    const absl::StatusOr<bool> more = co_await call.Read(event);
    if (!more.ok() || !*more) co_return more.status();
    if (const absl::Status sent = co_await call.Write(event); !sent.ok()) co_return sent;
  }
}

class TlsFixture : public RpcFixture {
 protected:
  using Event = common::v1::Event;
  using Validity = certs::Validity;
  using Code = absl::StatusCode;

  TlsFixture() : authority_(NewAuthority()) {}
  ~TlsFixture() override {
    OnLoop([this] { credentials_.clear(); });
  }

  static certs::Identity NewAuthority() {
    return *certs::MakeAuthority("Test", Validity::Days(30));
  }
  std::string Path(std::string_view owner, std::string_view kind) const {
    return base::StrCat(directory(), "/", owner, ".", kind);
  }
  // As `certs renew` does: each file at once, one after the other.
  void Put(const std::string& path, const std::string& text) const {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }
  void PutFiles(const std::string& owner, const certs::Identity& identity,
                const std::string& authorities) const {
    Put(Path(owner, "ca"), authorities);
    Put(Path(owner, "key"), identity.key_pem);
    Put(Path(owner, "crt"), identity.certificate_pem);
  }
  certs::Identity IdentityOf(const std::string& process, Validity validity = Validity::Days(3)) {
    return *certs::Issue(authority_, {CertificateName(process), "localhost"}, validity);
  }
  std::shared_ptr<Credentials> Load(const std::string& owner) {
    std::shared_ptr<Credentials> out;
    OnLoop([&] {
      auto loaded =
          Credentials::Load(loop(), {Path(owner, "crt"), Path(owner, "key"), Path(owner, "ca")});
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      out = *loaded;
      credentials_.push_back(out);
    });
    return out;
  }
  std::shared_ptr<Credentials> Make(const std::string& process) {
    PutFiles(process, IdentityOf(process), authority_.certificate_pem);
    return Load(process);
  }
  void Look(const std::shared_ptr<Credentials>& credentials) {
    OnLoop([&] { credentials->Look(); });
  }

  void StartTlsServer(std::shared_ptr<Credentials> credentials) {
    Server::Options options;
    options.process = "test";
    options.credentials = std::move(credentials);
    if (tls_target_.empty()) {
      tls_target_ = base::StrCat("127.0.0.1:", posthorn::testing::FreePort());
    }
    options.addresses = {{tls_target_}, {"unix:" + directory() + "/gateway", "imap-gateway"}};
    OnLoop([&] {
      tls_server_ = Server::Create(loop(), options);
      tls_server_->Handle<Event, Event>(kEcho, {}, &TellRole);
      tls_server_->Handle<Event, Event>(kGatewaysOnly, {"smtp-gateway", "imap-gateway"}, &TellRole);
      tls_server_->HandleStream(kChat, {"smtp-gateway"}, &Chat);
      const absl::Status started = tls_server_->Start();
      ASSERT_TRUE(started.ok()) << started;
    });
  }
  void StopTlsServer() {
    if (tls_server_) tls_server_->Stop(std::chrono::milliseconds(0));
    tls_server_.reset();
  }
  std::shared_ptr<Client> ClientAs(std::shared_ptr<Credentials> credentials,
                                   const std::string& process = "store-service") {
    return ClientOf({tls_target_, "", std::move(credentials), process});
  }
  std::shared_ptr<Client> ClientOf(Client::Options options) {
    std::shared_ptr<Client> client;
    OnLoop([&] {
      client = std::shared_ptr<Client>(Client::Create(loop(), std::move(options)).release(),
                                       [this](Client* gone) { OnLoop([gone] { delete gone; }); });
    });
    return client;
  }
  // The role the server saw, or the error.
  absl::StatusOr<std::string> RoleSeen(Client& client, const char* stream = "",
                                       Method<Event, Event> method = kEcho) {
    absl::StatusOr<std::string> out = std::string();
    Run(Ask(client, stream, method, &out));
    return out;
  }
  Code Outcome(Client& client, const char* stream = "", Method<Event, Event> method = kEcho) {
    return RoleSeen(client, stream, method).status().code();
  }

  certs::Identity authority_;

 private:
  static net::Task<void> Ask(Client& client, std::string stream, Method<Event, Event> method,
                             absl::StatusOr<std::string>* out) {
    CallOptions options;
    options.timeout = std::chrono::milliseconds(5000);
    const auto reply = co_await client.Call(method, stream, Flow::kFree, options, rpc::Event("x"));
    if (reply.ok()) {
      *out = reply->peer();
    } else {
      *out = reply.status();
    }
  }

  std::vector<std::shared_ptr<Credentials>> credentials_;
  std::string tls_target_;
  std::unique_ptr<Server> tls_server_;
};

}  // namespace posthorn::rpc
