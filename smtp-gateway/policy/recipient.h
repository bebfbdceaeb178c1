#pragma once

// May this recipient be accepted? Pure: facts in, verdict out.

#include <cstdint>
#include <optional>

#include "lib/mail/smtp_reply.h"
#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::smtp_gateway {

struct RecipientFacts {
  bool may_relay = false;          // logged in, or from a network that may
  bool full_is_permanent = false;  // settings.quota_full_is_permanent
  std::optional<uint64_t> size;    // declared with SIZE= [RFC1870 6.1]
};

// Nothing: accept. Never an open relay: foreign recipients need `may_relay`.
std::optional<mail::Reply> RecipientRefusal(const store::v1::ResolveReply& resolution, const RecipientFacts& facts);

}  // namespace posthorn::smtp_gateway
