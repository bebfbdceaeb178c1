#include "store-service/service/mailbox_service.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/store.h"
#include "store-service/mailbox/mailbox_changes.h"
#include "store-service/mailbox/message_changes.h"

namespace posthorn::store_service {
namespace {

// Each may hold a few copies of the largest message.
constexpr int kSearchThreads = 2;
constexpr size_t kMaxQueuedSearches = 1024;

const std::vector<std::string>& Gateways() {
  static const auto* const roles =
      new std::vector<std::string>{"imap-gateway", "pop3-gateway", "admin-service"};
  return *roles;
}

template <class Q>
std::vector<MailboxId> ItsMailbox(AccountMemory&, const Q& request) {
  return {request.mailbox()};
}

}  // namespace

MailboxService::MailboxService(LaneEngine& lanes, BlobStore& blobs, DigestSource& digests,
                               const Accounts& accounts, const TicketVerifier& tickets)
    : lanes_(&lanes),
      blobs_(&blobs),
      digests_(&digests),
      accounts_(&accounts),
      tickets_(&tickets),
      deliverer_(lanes, accounts, digests),
      search_pool_(lanes.loop(), "store-search", kSearchThreads, kMaxQueuedSearches) {
  lanes.AddObserver(this);
}

void MailboxService::Register(rpc::Server& server) {
  server.Handle<v1::DeliverRequest, v1::DeliverReply>(
      rpc::store::kMailboxesDeliver, {"delivery-queue"},
      [this](const rpc::CallContext&, v1::DeliverRequest request) {
        return Deliver(std::move(request));
      });
  RegisterWrites(server);
  RegisterReads(server);
}

absl::StatusOr<AccountId> MailboxService::AccountOf(const rpc::CallContext& context) const {
  ASSIGN_OR_RETURN(const TicketFacts facts, tickets_->Verify(context.ticket));
  return facts.account;
}

template <class Q, class R>
MailboxService::Reply<R> MailboxService::WriteFor(
    std::string ticket, Q request, Needed<Q> needed,
    std::function<absl::StatusOr<R>(Change&, const Q&, uint64_t quota)> apply) {
  CO_ASSIGN_OR_RETURN(const TicketFacts facts, tickets_->Verify(ticket));
  const uint64_t quota = accounts_->Facts(facts.account).quota;
  const auto shared = std::make_shared<const Q>(std::move(request));
  std::function<std::vector<MailboxId>(AccountMemory&)> columns;
  if (needed) columns = [shared, needed](AccountMemory& state) { return needed(state, *shared); };
  co_return co_await lanes_->Run<R>(
      facts.account, std::move(columns),
      [shared, apply, quota](Change& change) -> absl::StatusOr<R> {
        const auto known = change.account().operations.find(shared->operation());
        if (known != change.account().operations.end()) {
          R reply;
          if (reply.ParseFromString(known->second.reply)) return reply;
          return base::Internal("remembered reply is damaged");
        }
        change.SetOperation(shared->operation());
        absl::StatusOr<R> reply = apply(change, *shared, quota);
        if (reply.ok()) change.Remember(shared->operation(), reply->SerializeAsString());
        return reply;
      });
}

template <class M, class Apply>
void MailboxService::HandleWrite(rpc::Server& server, M method, Needed<typename M::Request> needed,
                                 Apply apply) {
  using Q = typename M::Request;
  using R = typename M::Reply;
  server.Handle<Q, R>(method, Gateways(),
                      [this, needed, apply](const rpc::CallContext& context, Q request) {
                        return WriteFor<Q, R>(context.ticket, std::move(request), needed, apply);
                      });
}

void MailboxService::RegisterWrites(rpc::Server& server) {
  namespace methods = rpc::store;
  const auto plain = [](auto* function) {
    return [function](Change& change, const auto& request, uint64_t) {
      return function(change, request);
    };
  };
  HandleWrite(server, methods::kMailboxesCreateMailbox, nullptr, plain(&CreateMailbox));
  HandleWrite(server, methods::kMailboxesDeleteMailbox, nullptr, plain(&DeleteMailbox));
  HandleWrite(
      server, methods::kMailboxesRenameMailbox,
      [](AccountMemory& account, const v1::RenameMailboxRequest& request) {
        const Mailbox* inbox = account.Find("INBOX");
        const bool is_inbox = inbox != nullptr && account.Find(request.from()) == inbox;
        return is_inbox ? std::vector<MailboxId>{inbox->row.mailbox} : std::vector<MailboxId>();
      },
      plain(&RenameMailbox));
  HandleWrite(server, methods::kMailboxesSubscribe, nullptr, plain(&Subscribe));
  HandleWrite(server, methods::kMailboxesStoreFlags, ItsMailbox<v1::StoreFlagsRequest>,
              plain(&StoreFlags));
  HandleWrite(server, methods::kMailboxesExpunge, ItsMailbox<v1::ExpungeRequest>, plain(&Expunge));
  HandleWrite(server, methods::kMailboxesCopy, ItsMailbox<v1::CopyRequest>, &Copy);
  server.Handle<v1::AppendRequest, v1::AppendReply>(
      methods::kMailboxesAppend, Gateways(),
      [this](const rpc::CallContext& context, v1::AppendRequest request) {
        return AppendMessages(context.ticket, std::move(request));
      });
}

MailboxService::Reply<v1::DeliverReply> MailboxService::Deliver(v1::DeliverRequest request) {
  co_return co_await deliverer_.Deliver(std::move(request));
}

MailboxService::Reply<v1::AppendReply> MailboxService::AppendMessages(std::string ticket,
                                                                      v1::AppendRequest request) {
  using Digests = std::vector<std::shared_ptr<const std::string>>;
  auto digests = std::make_shared<Digests>();
  CO_RETURN_IF_ERROR(tickets_->Verify(ticket).status());
  for (const v1::AppendMessage& message : request.messages()) {
    std::shared_ptr<const std::string> digest = digests_->Recent(message.blob().key());
    if (!digest) {
      CO_ASSIGN_OR_RETURN(digest,
                          co_await digests_->Get(message.blob().key(), message.blob().size()));
    }
    digests->push_back(std::move(digest));
  }
  co_return co_await WriteFor<v1::AppendRequest, v1::AppendReply>(
      std::move(ticket), std::move(request), nullptr,
      [digests](Change& change, const v1::AppendRequest& q,
                uint64_t quota) -> absl::StatusOr<v1::AppendReply> {
        ASSIGN_OR_RETURN(v1::AppendReply reply, Append(change, q, quota));
        for (int i = 0; i < q.messages_size(); ++i) {
          change.rows().PutBody(
              {q.messages(i).blob().key(), 0, "", *(*digests)[static_cast<size_t>(i)]});
        }
        return reply;
      });
}

void MailboxService::RegisterReads(rpc::Server& server) {
  namespace methods = rpc::store;
  server.HandleStream<v1::ReadMessagesRequest, v1::ReadMessagesReply>(
      methods::kMailboxesReadMessages, Gateways(),
      [this](rpc::ServerCall& call) { return ReadMessages(call); });
  server.HandleStream<v1::ReadDigestsRequest, v1::ReadDigestsReply>(
      methods::kMailboxesReadDigests, Gateways(),
      [this](rpc::ServerCall& call) { return ReadDigests(call); });
  server.HandleStream<v1::SearchTextRequest, v1::SearchTextReply>(
      methods::kMailboxesSearchText, Gateways(),
      [this](rpc::ServerCall& call) { return SearchText(call); });
  server.HandleStream<v1::LockMaildropRequest, v1::LockMaildropReply>(
      methods::kMailboxesLockMaildrop, Gateways(),
      [this](rpc::ServerCall& call) { return LockMaildrop(call); });
}

}  // namespace posthorn::store_service
