#pragma once

// One POP3 dialogue [RFC1939]. Invariants
//  1. Nothing is removed before QUIT in the transaction state, and then only what DELE named, by uid.
//  2. The maildrop is locked from login to the end; its numbers never change meanwhile.
//  3. STLS forgets everything said in clear text [RFC2595 4].

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/gateway/frontend.h"
#include "lib/gateway/networks.h"
#include "lib/gateway/session_count.h"
#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "pop3-gateway/backend/backend.h"
#include "pop3-gateway/protocol/command.h"

namespace posthorn::pop3_gateway {

// What all sessions of the process share. Outlives them.
struct Surroundings {
  Backend& backend;
  net::Drain& drain;
  std::function<std::shared_ptr<const config::v1::Settings>()> settings;
  std::function<gateway::NetworkRights(std::string_view address)> rights;
  std::string hostname;
};

class Pop3Session : public std::enable_shared_from_this<Pop3Session> {
 public:
  Pop3Session(Surroundings& surroundings, std::unique_ptr<net::Connection> connection,
              std::shared_ptr<const gateway::Port> port);
  ~Pop3Session();
  // The whole dialogue. `self` keeps the session while it lasts.
  static net::Task<void> Serve(std::shared_ptr<Pop3Session> self);

 private:
  net::Task<void> Run();
  // False when the session is over.
  net::Task<bool> Turn();
  net::Task<void> Obey(Command command);
  net::Task<void> ObeyAuthorization(Command command);
  net::Task<void> ObeyTransaction(Command command);
  void Ok(std::string_view text);
  // `code` is a response code in brackets [RFC2449 8], or empty.
  void Err(std::string_view code, std::string_view text);

  void OnCapa();
  void OnStls();
  net::Task<void> OnAuth(std::string mechanism, std::string initial);
  net::Task<void> Login(std::string name, std::string password);
  bool LoginAllowed() const;
  void OnStat();
  void OnList(const Command& command);
  void OnUidl(const Command& command);
  void OnDele(uint32_t number);
  net::Task<void> OnRetr(uint32_t number, std::optional<uint32_t> lines);
  net::Task<void> OnQuit();
  // Null, and the error is said, when there is no such message or it is marked.
  const Maildrop::Message* Find(uint32_t number);
  std::string UidOf(const Maildrop::Message& message) const;
  bool tls() const { return connection_->tls() != nullptr; }

  Surroundings& around_;
  std::unique_ptr<net::Connection> connection_;
  const std::shared_ptr<const gateway::Port> port_;
  const std::shared_ptr<const config::v1::Settings> settings_;
  const gateway::NetworkRights rights_;
  const base::MessageId id_;
  gateway::SessionCount count_;
  Verb answering_ = Verb::kUnknown;  // what the next reply answers, for Pop3Metrics
  std::unique_ptr<net::Drain::Handle> drain_;
  std::string user_;
  std::shared_ptr<const login::Identity> identity_;
  std::unique_ptr<login::Gate::Guard> guard_;
  std::unique_ptr<Maildrop> maildrop_;  // set: transaction state
  std::vector<bool> deleted_;
  uint32_t errors_ = 0;
  uint32_t retrieved_ = 0;
  bool idle_ = false;
  bool start_tls_ = false;
  bool close_ = false;
};

}  // namespace posthorn::pop3_gateway
