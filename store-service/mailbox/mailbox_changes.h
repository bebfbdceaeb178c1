#pragma once

// The writes of service Mailboxes, each as a function from a request to changes of one account. No
// I/O: they run on the lane, on state in memory. The statuses are the contract's (mailboxes.proto).

#include "absl/status/statusor.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/lane/change.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

absl::StatusOr<v1::MailboxReply> CreateMailbox(Change& change,
                                               const v1::CreateMailboxRequest& request);
absl::StatusOr<v1::MailboxReply> DeleteMailbox(Change& change,
                                               const v1::DeleteMailboxRequest& request);
// [RFC9051 6.3.6]
absl::StatusOr<v1::MailboxReply> RenameMailbox(Change& change,
                                               const v1::RenameMailboxRequest& request);
absl::StatusOr<v1::MailboxReply> Subscribe(Change& change, const v1::SubscribeRequest& request);

// The mailbox of that name, made with its superior levels when there is none.
Mailbox& FindOrCreate(Change& change, const std::string& normal_name,
                      const std::string& special_use);

}  // namespace posthorn::store_service
