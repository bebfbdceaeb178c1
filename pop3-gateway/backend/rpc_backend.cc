#include "pop3-gateway/backend/rpc_backend.h"

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/cluster/stores.h"
#include "lib/config/snapshot.h"
#include "lib/process/service.h"
#include "lib/rpc/methods/store.h"
#include "pop3-gateway/backend/maildrop_lock.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::pop3_gateway {
namespace {

using store::v1::ExpungeRequest;
using store::v1::ReadMessagesReply;
using store::v1::ReadMessagesRequest;
using store::v1::SyncReply;
using store::v1::SyncRequest;
using store::v1::ViewChunk;
using store::v1::ViewClosed;

constexpr std::chrono::milliseconds kShort{30000};
constexpr std::chrono::milliseconds kRead{600000};
constexpr uint32_t kCredit = 1000000;

rpc::CallOptions For(const std::string& ticket, std::chrono::milliseconds timeout) {
  rpc::CallOptions options;
  options.timeout = timeout;
  options.connect_within = rpc::kRestart;
  options.ticket = ticket;
  return options;
}

class RpcMaildrop : public Maildrop {
 public:
  RpcMaildrop(net::Loop& loop, cluster::Stores& store, std::string ticket)
      : store_(store), ticket_(std::move(ticket)), lock_(loop, store, ticket_) {}

  net::Task<absl::Status> Open() {
    CO_ASSIGN_OR_RETURN(inbox_, co_await lock_.Take());
    co_return co_await Snapshot();
  }

  net::Task<absl::Status> Read(uint32_t uid, Take take) override {
    const std::unique_ptr<rpc::RawCall> call =
        store_.Start(rpc::store::kMailboxesReadMessages.path, "mail", rpc::Flow::kFree, For(ticket_, kRead));
    ReadMessagesRequest request;
    request.set_mailbox(inbox_);
    request.add_parts()->set_uid(uid);
    CO_RETURN_IF_ERROR(co_await call->Write(request));
    call->WritesDone();
    for (;;) {
      ReadMessagesReply reply;
      CO_ASSIGN_OR_RETURN(const bool more, co_await call->Read(reply));
      if (!more) co_return base::Unavailable("the message ended early");
      if (reply.problem() == ReadMessagesReply::GONE) co_return base::NotFound("the message is gone");
      if (reply.problem() != ReadMessagesReply::OK) co_return base::DataLoss("the message is damaged");
      if (!co_await take(reply.chunk()) || reply.last()) co_return absl::OkStatus();
    }
  }

  net::Task<absl::Status> Remove(std::vector<uint32_t> uids) override {
    if (lock_.lost()) co_return base::Unavailable("the lock was lost");
    ExpungeRequest request;
    request.set_operation(std::string(base::MessageId::New().bytes()));
    request.set_mailbox(inbox_);
    for (const uint32_t uid : uids) {
      auto* last = request.uids_size() == 0 ? nullptr : request.mutable_uids(request.uids_size() - 1);
      if (last != nullptr && last->last() + 1 == uid) {
        last->set_last(uid);
        continue;
      }
      auto* range = request.add_uids();
      range->set_first(uid);
      range->set_last(uid);
    }
    auto reply = co_await store_.Call(rpc::store::kMailboxesExpunge, "mail", rpc::Flow::kFree, For(ticket_, kShort),
                                      std::move(request));
    co_return reply.status();
  }

 private:
  // One snapshot of the inbox; later deltas are nobody's business here [RFC1939 5].
  net::Task<absl::Status> Snapshot() {
    const std::unique_ptr<rpc::RawCall> call =
        store_.Start(rpc::store::kSyncAttach.path, "sync", rpc::Flow::kFree, For(ticket_, kRead));
    SyncRequest request;
    auto* open = request.mutable_open();
    open->set_view(1);
    open->set_ticket(ticket_);
    open->set_mailbox(inbox_);
    CO_RETURN_IF_ERROR(co_await call->Write(request));
    SyncRequest credit;
    credit.mutable_credit()->set_view(1);
    credit.mutable_credit()->set_replies(kCredit);
    CO_RETURN_IF_ERROR(co_await call->Write(credit));
    for (;;) {
      SyncReply reply;
      CO_ASSIGN_OR_RETURN(const bool more, co_await call->Read(reply));
      if (!more || reply.has_closed()) co_return base::Unavailable("the inbox cannot be read");
      if (!reply.has_chunk()) continue;
      TakeChunk(reply.chunk());
      if (reply.chunk().last()) break;
    }
    call->WritesDone();
    co_return absl::OkStatus();
  }
  void TakeChunk(const ViewChunk& chunk) {
    if (chunk.first()) {
      messages_.clear();
      uid_validity_ = chunk.uid_validity();
    }
    for (int i = 0; i < chunk.rows().uid_size(); ++i) messages_.push_back({chunk.rows().uid(i), chunk.rows().size(i)});
  }

  cluster::Stores& store_;
  const std::string ticket_;
  uint64_t inbox_ = 0;
  MaildropLock lock_;
};

class RpcBackend : public Backend {
 public:
  explicit RpcBackend(process::Service& service)
      : service_(service), gate_(login::Gate::Create(service.loop(), service.store(), {"pop3"})) {
    service_.OnConfig([this](const config::Snapshot& snapshot) {
      const auto& settings = snapshot.Get<config::v1::Settings>();
      gate_->SetTimes(std::chrono::seconds(settings.login_cache()), std::chrono::seconds(settings.tarpit()));
    });
  }
  net::Task<login::Verdict> Login(login::Attempt attempt) override { return gate_->Check(std::move(attempt)); }
  std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t account, std::function<void()> end) override {
    return gate_->OnEnd(account, std::move(end));
  }
  net::Task<absl::StatusOr<std::unique_ptr<Maildrop>>> Open(std::string ticket) override {
    auto maildrop = std::make_unique<RpcMaildrop>(service_.loop(), service_.store(), std::move(ticket));
    CO_RETURN_IF_ERROR(co_await maildrop->Open());
    co_return std::unique_ptr<Maildrop>(std::move(maildrop));
  }

 private:
  process::Service& service_;
  std::unique_ptr<login::Gate> gate_;
};

}  // namespace

std::unique_ptr<Backend> NewRpcBackend(process::Service& service) { return std::make_unique<RpcBackend>(service); }

}  // namespace posthorn::pop3_gateway
