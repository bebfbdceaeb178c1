#pragma once

// An SMTP client's side of one connection [RFC5321], as a plain dialogue: greeting, EHLO, STARTTLS
// [RFC3207], AUTH [RFC4954], and any number of mail transactions, pipelined [RFC2920] where the
// server offers it. An error Status of any call means the connection is of no more use.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "delivery-queue/remote/body.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/mail/smtp_reply.h"
#include "lib/net/connection.h"

namespace posthorn::delivery_queue {

// What the server said it can do. Pure.
struct Offers {
  bool pipelining = false;
  bool starttls = false;
  bool eight_bit = false;
  bool smtputf8 = false;
  bool dsn = false;
  bool auth_plain = false;
  bool auth_login = false;
  uint64_t max_size = 0;  // 0: no limit was named
};
// From the lines of an EHLO reply; the first one is the server's name.
Offers ParseOffers(const mail::Reply& ehlo);

// 2xx: to MAIL, RCPT and the final dot nothing else is a yes.
bool Accepted(const mail::Reply& reply);

// One mail transaction.
struct Transaction {
  struct Recipient {
    std::string address;
    std::string notify;  // [RFC3461], passed on where the server knows it
    std::string orcpt;
  };
  std::string sender;  // empty: null reverse-path
  std::vector<Recipient> recipients;
  uint64_t size = 0;
  bool smtputf8 = false;
  bool body_8bit = false;
  std::string ret, envid;
  // Before the body, in the same message.
  std::string_view prefix;
  BodyStream* body = nullptr;
  // Asked right before the final dot: false, and the message is not ended. Null: it may.
  const std::function<bool()>* may_end = nullptr;
};

// How far it got.
struct Result {
  // One for each recipient: RCPT's, or that of a later command where that one decided, or the "421"
  // that ended the session. Code 0: none came.
  std::vector<mail::Reply> replies;
  // OK: the connection can go on. Otherwise what became of it.
  absl::Status connection;
  // OK, or why the message could not be read.
  absl::Status body;
  // The final dot was on its way, so that recipients without a reply may have the message.
  bool after_dot = false;

  // A later reply decides for all that RCPT accepted; code 0: none came, so that RCPT's "250" says
  // nothing.
  void Decide(const mail::Reply& reply);
  // Some recipient, so far.
  bool any_accepted() const;
};

class SmtpClient {
 public:
  explicit SmtpClient(std::unique_ptr<net::Connection> connection, Patience patience = {})
      : connection_(std::move(connection)), patience_(patience) {}

  net::Task<absl::StatusOr<mail::Reply>> ReadGreeting();
  // EHLO, or HELO where that is not known. offers() holds afterwards.
  net::Task<absl::StatusOr<mail::Reply>> Hello(std::string hostname);
  // STARTTLS and the handshake; say Hello again after it. A reply other than 220 changes nothing.
  net::Task<absl::StatusOr<mail::Reply>> StartTls(std::shared_ptr<const net::TlsContext> context,
                                                  std::string host);
  // TLS from the first byte, before the greeting.
  net::Task<absl::Status> ImplicitTls(std::shared_ptr<const net::TlsContext> context,
                                      std::string host);
  // Code 0 when the server offers neither PLAIN nor LOGIN.
  net::Task<absl::StatusOr<mail::Reply>> Authenticate(std::string user, std::string password);
  // `transaction` must outlive the task. Every outcome is in the result.
  net::Task<Result> Send(const Transaction& transaction);
  // Says goodbye and closes.
  net::Task<void> Quit();

  const Offers& offers() const { return offers_; }
  bool encrypted() const { return connection_->tls() != nullptr; }
  uint64_t messages_sent() const { return sent_; }
  // Closes without goodbye.
  void Abandon() {
    connection_->Close();
    abandoned_ = true;
  }
  bool abandoned() const { return abandoned_; }

 private:
  net::Task<absl::StatusOr<mail::Reply>> ReadReply(std::chrono::milliseconds limit);
  net::Task<absl::StatusOr<mail::Reply>> Command(std::string line, std::chrono::milliseconds limit);
  std::string MailCommand(const Transaction& transaction) const;
  std::string RcptCommand(const Transaction::Recipient& recipient) const;
  // MAIL, RCPT and DATA; the reply to DATA, code 0 when it was not sent.
  net::Task<absl::StatusOr<mail::Reply>> SendPipelined(const Transaction& transaction,
                                                       Result& result);
  net::Task<absl::StatusOr<mail::Reply>> SendInTurn(const Transaction& transaction, Result& result);
  net::Task<absl::Status> AfterData(const Transaction& transaction, std::string first,
                                    mail::Reply data, Result& result);
  net::Task<absl::Status> SendMessage(const Transaction& transaction, std::string first,
                                      Result& result);
  net::Task<absl::Status> SendBody(const Transaction& transaction, std::string first,
                                   Result& result);
  net::Task<absl::Status> LastWords(absl::Status broken, Result& result);
  net::Task<absl::Status> Reset();

  std::unique_ptr<net::Connection> connection_;
  Patience patience_;
  Offers offers_;
  uint64_t sent_ = 0;
  bool abandoned_ = false;
};

}  // namespace posthorn::delivery_queue
