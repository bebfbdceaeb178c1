#pragma once

// One SMTP dialogue [RFC5321], as server: port 25, submission [RFC6409] or LMTP [RFC2033].
// Invariants
//  1. 250 after the final dot is sent only when the store has the bytes and the queue the envelope, both durable.
//  2. What the session may do is decided by the announced address (after PROXY), never by the socket's.
//  3. STARTTLS forgets everything the client said in clear text.
//  4. Data ends only at CRLF "." CRLF; what would be read otherwise by another server is refused after its true end.
//  5. Nothing of a message is kept beyond 64 KiB: it streams to the store and the scorer.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ids.h"
#include "lib/gateway/frontend.h"
#include "lib/gateway/networks.h"
#include "lib/gateway/session_count.h"
#include "lib/mail/received.h"
#include "lib/mail/smtp_command.h"
#include "lib/mail/smtp_reply.h"
#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "lib/net/task.h"
#include "lib/rpc/span.h"
#include "smtp-gateway/backend/backend.h"

namespace posthorn::smtp_gateway {

// What all sessions of the process share. Outlives them.
struct Surroundings {
  Backend& backend;
  net::Drain& drain;
  // The newest settings and rights; never null.
  std::function<std::shared_ptr<const config::v1::Settings>()> settings;
  std::function<gateway::NetworkRights(std::string_view address)> rights;
  std::string hostname;
};

class SmtpSession : public std::enable_shared_from_this<SmtpSession> {
 public:
  SmtpSession(Surroundings& surroundings, std::unique_ptr<net::Connection> connection,
              std::shared_ptr<const gateway::Port> port);
  ~SmtpSession();
  // The whole dialogue. `self` keeps the session while it lasts.
  static net::Task<void> Serve(std::shared_ptr<SmtpSession> self);

 private:
  // Who is at the other end; lives as long as the connection, or until STARTTLS.
  struct Peer {
    std::string helo;
    std::optional<mail::Greeting> greeting;
    std::shared_ptr<const login::Identity> identity;
    std::unique_ptr<login::Gate::Guard> guard;
  };
  // One message transaction [RFC5321 3.3]; RSET is its end.
  struct Transaction {
    base::MessageId id;
    std::string sender;
    std::optional<uint64_t> size;
    bool smtputf8 = false;
    bool body_8bit = false;
    std::string ret;
    std::string envid;
    std::vector<queue::v1::Recipient> recipients;
    std::optional<common::v1::Verdict> envelope_verdict;
    rpc::Span span;  // from DATA to its answer; empty when the trace is not sampled
  };
  // What became of the bytes of one message.
  struct Received {
    store::v1::PutReply stored;
    std::optional<common::v1::Verdict> verdict;  // none: not scored
  };

  net::Task<void> Run();
  // False when the session is over.
  net::Task<bool> Turn();
  net::Task<mail::Reply> Dispatch(std::string_view line);
  std::optional<mail::Reply> Forbidden(const mail::SmtpCommand& command) const;
  net::Task<mail::Reply> Handle(mail::SmtpCommand command);
  void Send(const mail::Reply& reply);
  mail::Reply Goodbye(int code, mail::EnhancedCode enhanced, std::string_view text);

  mail::Reply OnHello(mail::Greeting greeting, std::string_view domain);
  void AddExtensions(mail::Reply& reply) const;
  mail::Reply OnStartTls();
  net::Task<mail::Reply> OnAuth(mail::Auth auth);
  net::Task<absl::StatusOr<std::string>> Challenge(std::string_view prompt);
  net::Task<mail::Reply> Login(std::string name, std::string password);
  bool LoginOffered() const;
  bool LoginAllowed() const;
  mail::Reply OnMail(mail::MailFrom command);
  net::Task<mail::Reply> OnRcpt(mail::RcptTo command);
  net::Task<std::optional<mail::Reply>> EnvelopeRefusal();
  net::Task<mail::Reply> OnData();
  void BeginTrace();
  void EndTrace(const mail::Reply& reply);
  net::Task<absl::StatusOr<std::optional<mail::Reply>>> ReadData(class MessageIntake& intake);
  net::Task<mail::Reply> Deliver(absl::StatusOr<store::v1::PutReply> stored,
                                 absl::StatusOr<common::v1::Verdict> verdict);
  std::string MakePrefix(const Received& received) const;
  queue::v1::Entry MakeEntry(const Received& received) const;
  spam::v1::Envelope MakeEnvelope() const;
  void NoteRefusal(const mail::Reply& reply, std::string_view recipient) const;
  void NoteAccepted(const Received& received) const;
  void NoteScore(const common::v1::Verdict& verdict) const;

  bool submission() const { return port_->config.protocol() == config::v1::SUBMISSION; }
  bool lmtp() const { return port_->config.protocol() == config::v1::LMTP; }
  bool tls() const { return connection_->tls() != nullptr; }
  uint64_t max_size() const { return settings_->max_message_size(); }

  Surroundings& around_;
  std::unique_ptr<net::Connection> connection_;
  const std::shared_ptr<const gateway::Port> port_;
  std::shared_ptr<const config::v1::Settings> settings_;
  gateway::NetworkRights rights_;
  const bool public_client_;
  const base::MessageId id_;  // of the session, in logs and in what the peer is told
  gateway::SessionCount count_;
  size_t answering_;  // what the next reply answers, for SmtpMetrics
  Peer peer_;
  std::optional<Transaction> transaction_;
  std::unique_ptr<net::Drain::Handle> drain_;
  // CheckEnvelope's answer for the sender it was asked about: most sessions keep theirs.
  std::string checked_sender_;
  std::optional<common::v1::Verdict> checked_verdict_;
  uint32_t errors_ = 0;
  uint32_t idle_commands_ = 0;  // since the last message
  uint32_t messages_ = 0;
  bool idle_ = false;  // waiting for a command
  bool start_tls_ = false;
  bool close_ = false;
};

}  // namespace posthorn::smtp_gateway
