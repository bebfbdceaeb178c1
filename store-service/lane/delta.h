#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store-service/database/database.h"

namespace posthorn::store_service {

// What one committed operation did to one mailbox; what views are kept current with. Shared, never
// changed.
struct Delta {
  AccountId account = 0;
  MailboxId mailbox = 0;
  ModSeq modseq = 0;
  Uid uid_next = 0;
  std::vector<MessageColumns> added;
  std::vector<MessageColumns> changed;
  std::vector<UidSpan> expunged;  // ascending
  std::vector<std::string> new_keywords;
  std::string operation;  // id of the client's write that caused it, or empty
  // For measuring (0: unknown, or no delivery) and tracing (empty: not sampled); see ViewDelta.
  int64_t accepted_ms = 0;
  std::string traceparent;
  // kRenumbered: it has a new UIDVALIDITY; views must begin anew.
  enum class Mailbox { kStays, kDeleted, kRenumbered } end = Mailbox::kStays;
};

using DeltaPtr = std::shared_ptr<const Delta>;

// Appends `uid`, which is above all of `spans`.
inline void AppendUid(std::vector<UidSpan>& spans, Uid uid) {
  if (!spans.empty() && spans.back().last + 1 == uid) {
    spans.back().last = uid;
  } else {
    spans.push_back({uid, uid});
  }
}

}  // namespace posthorn::store_service
