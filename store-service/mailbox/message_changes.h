#pragma once

// Writes to messages, as in mailbox_changes.h. `quota` is in bytes, 0: no limit.

#include "absl/status/statusor.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/lane/change.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

absl::StatusOr<v1::AppendReply> Append(Change& change, const v1::AppendRequest& request,
                                       uint64_t quota);
// [RFC9051 6.4.6], [RFC7162 3.1.3]
absl::StatusOr<v1::StoreFlagsReply> StoreFlags(Change& change,
                                               const v1::StoreFlagsRequest& request);
// [RFC9051 6.4.3], [RFC4315 2.1]
absl::StatusOr<v1::ExpungeReply> Expunge(Change& change, const v1::ExpungeRequest& request);
// [RFC9051 6.4.7], [RFC6851 3.3]
absl::StatusOr<v1::CopyReply> Copy(Change& change, const v1::CopyRequest& request, uint64_t quota);

}  // namespace posthorn::store_service
