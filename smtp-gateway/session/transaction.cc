// MAIL and RCPT.

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "smtp-gateway/policy/recipient.h"
#include "smtp-gateway/session/metrics.h"
#include "smtp-gateway/session/replies.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {
namespace {

using common::v1::Verdict;
using mail::Reply;

std::string NotifyText(const mail::RcptTo& rcpt) {
  std::vector<std::string> words;
  if (rcpt.notify_never) words.push_back("NEVER");
  if (rcpt.notify_success) words.push_back("SUCCESS");
  if (rcpt.notify_failure) words.push_back("FAILURE");
  if (rcpt.notify_delay) words.push_back("DELAY");
  return base::Join(words, ",");
}

// [RFC6409 6.1] the envelope sender belongs to whoever logged in.
bool MaySendAs(const login::Identity& identity, const mail::Path& sender) {
  if (sender.IsNull()) return true;
  const std::optional<std::string> wanted = mail::NormalAddress(sender);
  if (!wanted) return false;
  const auto same = [&wanted](const std::string& address) { return mail::NormalAddress(address) == wanted; };
  return same(identity.address) || std::ranges::any_of(identity.may_send_as, same);
}

std::optional<Reply> UnknownParameters(const std::vector<mail::SmtpParameter>& unknown) {
  if (unknown.empty()) return {};
  return Reply(555, {5, 5, 4}, base::StrCat("Parameter ", unknown.front().keyword, " is not available"));
}

}  // namespace

Reply SmtpSession::OnMail(mail::MailFrom command) {
  if (std::optional<Reply> no = UnknownParameters(command.unknown)) return *std::move(no);
  if (command.body == mail::BodyType::kBinaryMime) return Reply(555, {5, 5, 4}, "BINARYMIME is not available");
  if (command.size.value_or(0) > max_size()) return Reply(552, {5, 3, 4}, "Message too big for this system");
  if (peer_.identity && !MaySendAs(*peer_.identity, command.reverse_path))
    return Reply(553, {5, 7, 1}, "Sender address does not belong to this login");
  if (!command.reverse_path.IsNull() && command.reverse_path.domain.empty())
    return Reply(553, {5, 1, 7}, "Sender address needs a domain");
  Transaction transaction;
  transaction.id = base::MessageId::New();
  transaction.sender = command.reverse_path.Address();
  transaction.size = command.size;
  transaction.smtputf8 = command.smtputf8;
  transaction.body_8bit = command.body == mail::BodyType::k8BitMime;
  transaction.ret = command.ret == mail::DsnReturn::kFull ? "FULL" : command.ret == mail::DsnReturn::kHeaders ? "HDRS" : "";
  transaction.envid = command.envid.value_or("");
  settings_ = around_.settings();
  transaction_ = std::move(transaction);
  return Reply(250, {2, 1, 0}, "OK");
}

net::Task<Reply> SmtpSession::OnRcpt(mail::RcptTo command) {
  if (std::optional<Reply> no = UnknownParameters(command.unknown)) co_return *std::move(no);
  if (transaction_->recipients.size() >= settings_->max_recipients())
    co_return Reply(452, {4, 5, 3}, "Too many recipients, send the rest in another message");
  mail::Path path = command.forward_path;
  // [RFC5321 4.5.1] postmaster alone is that of this host, or else of the whole installation.
  const bool bare = path.domain.empty();
  if (bare) path.domain = around_.hostname;
  std::string address = path.Address();
  absl::StatusOr<Backend::Resolution> resolution = co_await around_.backend.Resolve(address);
  if (bare && resolution.ok() && (*resolution)->kind() == store::v1::ResolveReply::REMOTE) {
    address = path.local;
    resolution = co_await around_.backend.Resolve(address);
  }
  if (!resolution.ok()) co_return replies::FromFailure(resolution.status(), id_.ToString());
  RecipientFacts facts;
  facts.may_relay = peer_.identity != nullptr || rights_.may_relay;
  facts.full_is_permanent = settings_->quota_full_is_permanent();
  facts.size = transaction_->size;
  std::optional<Reply> no = RecipientRefusal(**resolution, facts);
  if (!no) no = co_await EnvelopeRefusal();
  if (no) {
    NoteRefusal(*no, address);
    co_return *std::move(no);
  }
  queue::v1::Recipient recipient;
  recipient.set_address(address);
  recipient.set_account((*resolution)->account());
  recipient.set_detail((*resolution)->detail());
  recipient.set_remote((*resolution)->kind() == store::v1::ResolveReply::REMOTE);
  recipient.set_orcpt(command.orcpt.value_or(""));
  recipient.set_notify(NotifyText(command));
  transaction_->recipients.push_back(std::move(recipient));
  co_return Reply(250, {2, 1, 5}, "OK");
}

spam::v1::Envelope SmtpSession::MakeEnvelope() const {
  spam::v1::Envelope envelope;
  envelope.set_client(connection_->peer().address);
  envelope.set_helo(peer_.helo);
  envelope.set_sender(transaction_->sender);
  for (const auto& recipient : transaction_->recipients) envelope.add_recipients(recipient.address());
  envelope.set_trusted(peer_.identity != nullptr || rights_.may_relay);
  envelope.set_message_id(std::string(transaction_->id.bytes()));
  envelope.set_hostname(around_.hostname);
  envelope.set_smtputf8(transaction_->smtputf8);
  return envelope;
}

// The tests that need no message, once for a sender of this session: listed clients are refused before DATA. None of
// them applies to a client that the world does not know; then the message's own check is the only one.
net::Task<std::optional<Reply>> SmtpSession::EnvelopeRefusal() {
  if (peer_.identity || rights_.skip_spam_checks || !public_client_) co_return std::nullopt;
  if (!checked_verdict_ || checked_sender_ != transaction_->sender) {
    absl::StatusOr<Verdict> verdict = co_await around_.backend.CheckEnvelope(MakeEnvelope());
    if (!verdict.ok()) {
      if (settings_->spam_down_defers()) co_return replies::FromFailure(verdict.status(), id_.ToString());
      co_return std::nullopt;
    }
    checked_sender_ = transaction_->sender;
    checked_verdict_ = *std::move(verdict);
  }
  transaction_->envelope_verdict = checked_verdict_;
  const std::string_view text = checked_verdict_->reply_text();
  if (checked_verdict_->action() == Verdict::REJECT)
    co_return Reply(550, {5, 7, 1}, text.empty() ? "Rejected by policy" : text);
  if (checked_verdict_->action() == Verdict::DEFER)
    co_return Reply(451, {4, 7, 1}, text.empty() ? "Try again later" : text);
  co_return std::nullopt;
}

void SmtpSession::NoteRefusal(const Reply& reply, std::string_view recipient) const {
  SmtpMetrics::Get().CountRefusal(reply);
  common::v1::Event event;
  event.set_message_id(std::string(transaction_->id.bytes()));
  event.set_step(common::v1::Event::REFUSED);
  event.set_outcome(reply.transient() ? common::v1::Event::TEMPORARY : common::v1::Event::PERMANENT);
  event.set_sender(transaction_->sender);
  event.set_peer(connection_->peer().address);
  event.set_text(base::StrCat(reply.code, " ", FormatEnhancedCode(reply.enhanced), " ", reply.Text()));
  if (!recipient.empty()) {
    event.add_recipients(std::string(recipient));
    event.set_recipient_count(1);
  }
  around_.backend.Record(std::move(event));
}

}  // namespace posthorn::smtp_gateway
