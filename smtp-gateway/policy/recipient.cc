#include "smtp-gateway/policy/recipient.h"

namespace posthorn::smtp_gateway {

using mail::Reply;
using store::v1::ResolveReply;

std::optional<Reply> RecipientRefusal(const ResolveReply& resolution, const RecipientFacts& facts) {
  switch (resolution.kind()) {
    case ResolveReply::ACCOUNT: {
      const bool too_much =
          facts.size && resolution.quota() > 0 && resolution.used() + *facts.size > resolution.quota();
      if (!resolution.over_quota() && !too_much) return {};
      return facts.full_is_permanent ? Reply(552, {5, 2, 2}, "Mailbox full") : Reply(452, {4, 2, 2}, "Mailbox full");
    }
    case ResolveReply::ALIAS:
    case ResolveReply::LIST:
      return {};
    case ResolveReply::REMOTE:
      if (facts.may_relay) return {};
      return Reply(550, {5, 7, 1}, "Relaying denied");
    case ResolveReply::UNKNOWN:
      return Reply(550, {5, 1, 1}, "No such user here");
    case ResolveReply::DISABLED:
      return Reply(550, {5, 2, 1}, "Mailbox disabled");
    case ResolveReply::LOOP:
      return Reply(550, {5, 4, 6}, "Aliases lead in a circle");
    default:
      return Reply(451, {4, 3, 0}, "Temporary failure, try again later");
  }
}

}  // namespace posthorn::smtp_gateway
