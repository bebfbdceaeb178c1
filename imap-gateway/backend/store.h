#pragma once

// The store as IMAP sessions see it. Behind it: the real one over request streams (rpc_store.h), or
// one in memory for tests (testing/fake_store.h). `ticket` comes from the login. Writes:
// `operation` in the request is filled by the session. They are repeated with the same operation
// while the store does not answer; statuses are
//   kUnavailable  the store was away from the start: nothing happened       → NO [UNAVAILABLE]
//   kUnknown      the outcome is unknown at the deadline                    → BYE (a NO would be
//   tried again) everything else as in mailboxes.proto.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/cluster/lane_map.h"
#include "lib/net/task.h"
#include "lib/rpc/client.h"
#include "posthorn/store/v1/blobs.pb.h"
#include "posthorn/store/v1/mailboxes.pb.h"

namespace posthorn::net {
class Signal;
}

namespace posthorn::imap_gateway {

class Store {
 public:
  template <class T>
  using Reply = net::Task<absl::StatusOr<T>>;

  virtual ~Store() = default;

  virtual Reply<store::v1::MailboxReply> CreateMailbox(std::string ticket,
                                                       store::v1::CreateMailboxRequest request) = 0;
  virtual Reply<store::v1::MailboxReply> DeleteMailbox(std::string ticket,
                                                       store::v1::DeleteMailboxRequest request) = 0;
  virtual Reply<store::v1::MailboxReply> RenameMailbox(std::string ticket,
                                                       store::v1::RenameMailboxRequest request) = 0;
  virtual Reply<store::v1::MailboxReply> Subscribe(std::string ticket,
                                                   store::v1::SubscribeRequest request) = 0;
  virtual Reply<store::v1::AppendReply> Append(std::string ticket,
                                               store::v1::AppendRequest request) = 0;
  virtual Reply<store::v1::StoreFlagsReply> StoreFlags(std::string ticket,
                                                       store::v1::StoreFlagsRequest request) = 0;
  virtual Reply<store::v1::ExpungeReply> Expunge(std::string ticket,
                                                 store::v1::ExpungeRequest request) = 0;
  virtual Reply<store::v1::CopyReply> Copy(std::string ticket, store::v1::CopyRequest request) = 0;

  // Streams: write what is said, then read until false. Unused ends are cancelled by destroying the
  // call.
  virtual std::unique_ptr<rpc::RawCall> ReadMessages(
      std::string ticket) = 0;  // write one ReadMessagesRequest
  virtual std::unique_ptr<rpc::RawCall> ReadDigests(
      std::string ticket) = 0;  // write one ReadDigestsRequest
  virtual std::unique_ptr<rpc::RawCall> SearchText(
      std::string ticket) = 0;  // write one SearchTextRequest
  virtual std::unique_ptr<rpc::RawCall> Put(
      std::string ticket) = 0;  // write PutRequests, read one PutReply
  // Sync with one replica.
  virtual std::unique_ptr<rpc::RawCall> Attach(cluster::Place place) = 0;
  // As cluster::Stores.
  virtual cluster::Place PlaceOf(uint64_t account) const = 0;
  virtual net::Signal& changed() = 0;
};

// 16 random bytes.
std::string NewOperation();

}  // namespace posthorn::imap_gateway
