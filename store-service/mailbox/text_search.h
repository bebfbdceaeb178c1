#pragma once

// SEARCH TEXT, BODY and HEADER [RFC9051 6.4.4] on a message's bytes: decoded, without regard to
// case.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/blob/blob_store.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

class TextQuery {
 public:
  explicit TextQuery(const v1::SearchTextRequest& request);
  // Pure; any thread.
  bool Matches(std::string_view message) const;

 private:
  bool HeaderMatches(std::string_view message) const;
  bool AnyFieldMatches(std::string_view header) const;
  bool BodyMatches(std::string_view message) const;
  bool Holds(std::string_view text) const;

  const v1::SearchTextRequest::Where where_;
  const std::string field_;
  const std::string needle_;  // folded
};

// UTF-8 with full case folding; pure ASCII is done without ICU.
std::string FoldCase(std::string_view text);

struct SearchStep {
  std::vector<Uid> matches;
  Uid last = 0;  // the last uid looked at; 0: there was none
};
// Looks at some messages from span.first on. Blocks. A message whose bytes cannot be read does not
// match.
absl::StatusOr<SearchStep> SearchSome(Database& database, BlobStore& blobs, AccountId account,
                                      MailboxId mailbox, UidSpan span, const TextQuery& query);

}  // namespace posthorn::store_service
