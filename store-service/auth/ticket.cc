#include "store-service/auth/ticket.h"

#include "lib/auth/hmac.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::store_service {
namespace {

// Field 15, length-delimited, 32 bytes: always the last of a ticket.
constexpr std::string_view kSignatureHead = "\x7a\x20";
constexpr size_t kSignature = 2 + 32;

absl::Status Unauthenticated(std::string_view why) {
  return base::Error(absl::StatusCode::kUnauthenticated, why);
}

// Another store signed it with a newer directory than ours.
bool IsAhead(const TicketFacts& ticket, const AccountFacts& known) {
  const int64_t made = ticket.expires - TicketSigner::kLifeSeconds;
  return ticket.revision > known.revision && ticket.session_version >= known.session_version &&
         known.state != AccountState::kDeleting &&
         made + TicketSigner::kFollowSeconds >= base::WallSeconds();
}

}  // namespace

TicketSigner::TicketSigner(std::string key, const Accounts& accounts)
    : key_(std::move(key)), accounts_(&accounts) {}

std::string TicketSigner::Issue(TicketFacts facts) const {
  posthorn::store::v1::Ticket ticket;
  ticket.set_account(facts.account);
  ticket.set_address(std::move(facts.address));
  ticket.set_protocol(std::move(facts.protocol));
  ticket.set_expires(static_cast<uint64_t>(base::WallSeconds() + kLifeSeconds));
  ticket.set_version(facts.session_version);
  ticket.set_revision(facts.revision);
  std::string bytes = ticket.SerializeAsString();
  const std::string signature = auth::HmacSha256(key_, bytes);
  base::StrAppend(bytes, kSignatureHead, signature);
  return bytes;
}

absl::StatusOr<TicketFacts> TicketSigner::Verify(std::string_view ticket) const {
  if (ticket.size() <= kSignature) return Unauthenticated("no ticket");
  const std::string_view text = ticket.substr(0, ticket.size() - kSignature);
  const std::string_view signature = ticket.substr(text.size() + kSignatureHead.size());
  posthorn::store::v1::Ticket parsed;
  if (ticket.substr(text.size(), kSignatureHead.size()) != kSignatureHead ||
      !auth::SameBytes(auth::HmacSha256(key_, text), signature) ||
      !parsed.ParseFromArray(text.data(), static_cast<int>(text.size()))) {
    return Unauthenticated("forged ticket");
  }
  TicketFacts facts{.account = parsed.account(),
                    .address = parsed.address(),
                    .protocol = parsed.protocol(),
                    .expires = static_cast<int64_t>(parsed.expires()),
                    .session_version = parsed.version(),
                    .revision = parsed.revision()};
  if (facts.expires < base::WallSeconds()) return Unauthenticated("expired ticket");
  const AccountFacts account = accounts_->Facts(facts.account);
  if (IsAhead(facts, account)) return facts;
  if (account.state != AccountState::kActive || account.session_version != facts.session_version) {
    return base::Denied("the account was disabled, removed or given another password");
  }
  return facts;
}

}  // namespace posthorn::store_service
