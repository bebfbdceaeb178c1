// What a session is and waits for: login state, account view, its own writes.

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/session.h"
#include "imap-gateway/view/account_view.h"
#include "imap-gateway/view/sync_client.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

using std::chrono::milliseconds;

// Longer than a lane's hand-over; a client waits about a minute for an answer.
constexpr milliseconds kViewLimit{20000};

}  // namespace

ImapMetrics::ImapMetrics()
    : idling(observe::NewGauge("posthorn_imap_sessions_idling", "Sessions in IDLE")),
      bad_commands(
          observe::NewCounter("posthorn_imap_bad_commands_total", "Commands answered BAD")),
      fetched(observe::NewCounter("posthorn_imap_fetched_messages_total",
                                  "Messages in FETCH responses")),
      appended(observe::NewCounter("posthorn_imap_appended_messages_total",
                                   "Messages stored by APPEND")),
      byes(observe::NewCounter("posthorn_imap_byes_total", "Sessions ended by the server")),
      seconds(observe::NewHistogram("posthorn_imap_command_seconds",
                                    "From a whole command to its completion; IDLE's is its +")) {}

bool Session::MayLogIn() const {
  if (connection_->tls() != nullptr) return true;
  if (port_->mode == Port::Tls::kStartTlsRequired) return false;
  switch (config().plaintext_login) {
    case ImapConfig::PlaintextLogin::kAlways:
      return true;
    case ImapConfig::PlaintextLogin::kNever:
      return false;
    case ImapConfig::PlaintextLogin::kTrusted:
      break;
  }
  return config().trusts && config().trusts(connection_->peer().address);
}

std::string Session::Capabilities() const {
  std::string out = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE";
  if (!identity_) {
    const bool can_start =
        port_->tls && port_->mode != Port::Tls::kImplicit && port_->mode != Port::Tls::kNone;
    if (can_start && connection_->tls() == nullptr) out.append(" STARTTLS");
    out.append(MayLogIn() ? " AUTH=PLAIN AUTH=LOGIN" : " LOGINDISABLED");
    return out;
  }
  base::StrAppend(out,
                  " NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE"
                  " CREATE-SPECIAL-USE CONDSTORE ESEARCH WITHIN SAVEDATE STATUS=SIZE APPENDLIMIT=",
                  config().max_message_size);
  return out;
}

void Session::LogIn(std::shared_ptr<const login::Identity> identity) {
  identity_ = std::move(identity);
  errors_ = 0;
  guard_ = gateway_.gate.OnEnd(identity_->account,
                               [this] { RequestBye("[UNAVAILABLE] Please log in again"); });
  observe::Debug("imap.login",
                 {{"login", identity_->address}, {"peer", connection_->peer().address}});
}

net::Task<absl::StatusOr<std::shared_ptr<AccountView>>> Session::Account() {
  account_ = gateway_.sync.Account(ticket(), identity_->account);
  CO_RETURN_IF_ERROR(co_await account_->WaitReady(kViewLimit));
  co_return account_;
}

net::Task<absl::StatusOr<std::shared_ptr<AccountView>>> Session::FreshAccount() {
  // The barrier goes out behind the open, so one wait covers both.
  account_ = gateway_.sync.Account(ticket(), identity_->account);
  CO_RETURN_IF_ERROR(co_await gateway_.sync.Barrier(ticket(), identity_->account, kViewLimit));
  CO_RETURN_IF_ERROR(co_await account_->WaitCurrent(kViewLimit));
  co_return account_;
}

net::Task<absl::Status> Session::WaitForOwn(uint64_t mailbox, uint64_t modseq) {
  if (!selected_ || selected_->cursor.view().mailbox() != mailbox) co_return absl::OkStatus();
  const std::shared_ptr<MailboxView> view = selected_->cursor.shared_view();
  co_return co_await view->WaitFor(modseq, kViewLimit);
}

net::Task<absl::Status> Session::WaitForAccount(uint64_t modseq) {
  // Without a view the next command that needs one asks for a fresh one.
  if (!account_) co_return absl::OkStatus();
  co_return co_await account_->WaitFor(modseq, kViewLimit);
}

}  // namespace posthorn::imap_gateway
