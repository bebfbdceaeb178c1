#pragma once

// The gRPC face of service Mailboxes: tickets, translation, streaming. The work is done in mailbox/
// on the lanes.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/rpc/server.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/auth/ticket.h"
#include "store-service/blob/blob_store.h"
#include "store-service/directory/accounts.h"
#include "store-service/lane/engine.h"
#include "store-service/mailbox/deliverer.h"
#include "store-service/service/digest_source.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

class MailboxService final : public CommitObserver {
 public:
  MailboxService(LaneEngine& lanes, BlobStore& blobs, DigestSource& digests,
                 const Accounts& accounts, const TicketVerifier& tickets);
  void Register(rpc::Server& server);
  // Ends the POP3 locks of the account.
  void EndSessions(AccountId account);
  const Deliverer& deliverer() const { return deliverer_; }

  // POP3 locks go with their lane: sessions claim them again at its new owner.
  void OnCommitted(const Batch&) override {}
  void OnLaneTaken(uint32_t lane) override;
  void OnLaneLost(uint32_t lane) override;

 private:
  template <class T>
  using Reply = net::Task<absl::StatusOr<T>>;
  // kUnauthenticated, kPermissionDenied.
  absl::StatusOr<AccountId> AccountOf(const rpc::CallContext& context) const;
  template <class Q>
  using Needed = std::function<std::vector<MailboxId>(AccountMemory&, const Q&)>;

  void RegisterWrites(rpc::Server& server);
  void RegisterReads(rpc::Server& server);
  // A client's write: its account from the ticket, its first answer again when it comes twice.
  template <class Q, class R>
  Reply<R> WriteFor(std::string ticket, Q request, Needed<Q> needed,
                    std::function<absl::StatusOr<R>(Change&, const Q&, uint64_t quota)> apply);
  template <class M, class Apply>
  void HandleWrite(rpc::Server& server, M method, Needed<typename M::Request> needed, Apply apply);

  Reply<v1::DeliverReply> Deliver(v1::DeliverRequest request);
  Reply<v1::AppendReply> AppendMessages(std::string ticket, v1::AppendRequest request);
  net::Task<absl::Status> ReadMessages(rpc::ServerCall& call);
  net::Task<absl::Status> ReadDigests(rpc::ServerCall& call);
  net::Task<absl::Status> SearchText(rpc::ServerCall& call);
  net::Task<absl::Status> LockMaildrop(rpc::ServerCall& call);
  net::Task<absl::Status> FillDigests(v1::ReadDigestsReply& reply,
                                      const std::vector<BlobRef>& missing);

  LaneEngine* lanes_;
  BlobStore* blobs_;
  DigestSource* digests_;
  const Accounts* accounts_;
  const TicketVerifier* tickets_;
  Deliverer deliverer_;
  struct Maildrop;
  std::map<AccountId, std::shared_ptr<Maildrop>> maildrops_;
  std::array<int64_t, base::kLanes> reclaims_until_ms_{};  // new claims wait so long
  net::BlockingPool search_pool_;
};

}  // namespace posthorn::store_service
