#include "imap-gateway/backend/rpc_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/cluster/stores.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::imap_gateway {
namespace {

using Clock = std::chrono::steady_clock;
using rpc::Flow;
using std::chrono::milliseconds;
namespace v1 = ::posthorn::store::v1;

constexpr milliseconds kTryTimeout{10000};
constexpr milliseconds kWriteTimeout{25000};
constexpr milliseconds kStreamTimeout{std::chrono::hours(2)};
constexpr milliseconds kForEver{std::chrono::hours(24 * 3650)};

bool MayHaveHappened(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded ||
         code == absl::StatusCode::kCancelled || code == absl::StatusCode::kUnknown;
}

rpc::CallOptions Options(std::string ticket, milliseconds timeout) {
  rpc::CallOptions options;
  options.ticket = std::move(ticket);
  options.timeout = timeout;
  return options;
}

rpc::CallOptions ManyMessages(std::string ticket) {
  rpc::CallOptions options = Options(std::move(ticket), kStreamTimeout);
  options.connect_within = rpc::kRestart;
  return options;
}

class RpcStore : public Store {
 public:
  RpcStore(net::Loop& loop, cluster::Stores& client) : loop_(loop), client_(client) {}

  Reply<v1::MailboxReply> CreateMailbox(std::string ticket,
                                        v1::CreateMailboxRequest request) override {
    return Write(rpc::store::kMailboxesCreateMailbox, std::move(ticket), std::move(request));
  }
  Reply<v1::MailboxReply> DeleteMailbox(std::string ticket,
                                        v1::DeleteMailboxRequest request) override {
    return Write(rpc::store::kMailboxesDeleteMailbox, std::move(ticket), std::move(request));
  }
  Reply<v1::MailboxReply> RenameMailbox(std::string ticket,
                                        v1::RenameMailboxRequest request) override {
    return Write(rpc::store::kMailboxesRenameMailbox, std::move(ticket), std::move(request));
  }
  Reply<v1::MailboxReply> Subscribe(std::string ticket, v1::SubscribeRequest request) override {
    return Write(rpc::store::kMailboxesSubscribe, std::move(ticket), std::move(request));
  }
  Reply<v1::AppendReply> Append(std::string ticket, v1::AppendRequest request) override {
    return Write(rpc::store::kMailboxesAppend, std::move(ticket), std::move(request));
  }
  Reply<v1::StoreFlagsReply> StoreFlags(std::string ticket,
                                        v1::StoreFlagsRequest request) override {
    return Write(rpc::store::kMailboxesStoreFlags, std::move(ticket), std::move(request));
  }
  Reply<v1::ExpungeReply> Expunge(std::string ticket, v1::ExpungeRequest request) override {
    return Write(rpc::store::kMailboxesExpunge, std::move(ticket), std::move(request));
  }
  Reply<v1::CopyReply> Copy(std::string ticket, v1::CopyRequest request) override {
    return Write(rpc::store::kMailboxesCopy, std::move(ticket), std::move(request));
  }
  std::unique_ptr<rpc::RawCall> ReadMessages(std::string ticket) override {
    return client_.Start(rpc::store::kMailboxesReadMessages.path, "mail", Flow::kFree,
                         ManyMessages(std::move(ticket)));
  }
  std::unique_ptr<rpc::RawCall> ReadDigests(std::string ticket) override {
    return client_.Start(rpc::store::kMailboxesReadDigests.path, "mail", Flow::kFree,
                         ManyMessages(std::move(ticket)));
  }
  std::unique_ptr<rpc::RawCall> SearchText(std::string ticket) override {
    return client_.Start(rpc::store::kMailboxesSearchText.path, "mail", Flow::kFree,
                         ManyMessages(std::move(ticket)));
  }
  std::unique_ptr<rpc::RawCall> Put(std::string ticket) override {
    return client_.Start(rpc::store::kBlobsPut.path, "put", Flow::kHoldBack,
                         ManyMessages(std::move(ticket)));
  }
  std::unique_ptr<rpc::RawCall> Attach(cluster::Place place) override {
    return client_.At(place).Start(rpc::store::kSyncAttach.path, "sync", Flow::kFree,
                                   Options({}, kForEver));
  }
  cluster::Place PlaceOf(uint64_t account) const override { return client_.PlaceOf(account); }
  net::Signal& changed() override { return client_.changed(); }

 private:
  // Repeats an idempotent write until the store answers it. kUnavailable: it was never sent.
  template <class Q, class R>
  Reply<R> Write(rpc::Method<Q, R> method, std::string ticket, Q request) {
    const auto deadline = Clock::now() + kWriteTimeout;
    milliseconds pause{50};
    bool sent = false;
    while (true) {
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      absl::StatusOr<R> reply = co_await client_.Call(
          method, "mail", Flow::kFree, Options(ticket, std::min(kTryTimeout, left)), request);
      if (reply.ok() || !MayHaveHappened(reply.status().code())) co_return reply;
      sent = sent || !rpc::WasNotSent(reply.status());
      if (!sent) co_return reply;
      if (Clock::now() + pause + milliseconds(100) >= deadline) {
        observe::Warning("imap.write.unknown",
                         {{"method", method.path}, {"error", base::Message(reply.status())}});
        co_return base::Error(absl::StatusCode::kUnknown, "outcome unknown");
      }
      co_await net::Sleep(loop_, pause);
      pause = std::min(pause * 2, milliseconds(1000));
    }
  }

  net::Loop& loop_;
  cluster::Stores& client_;
};

}  // namespace

std::unique_ptr<Store> NewRpcStore(net::Loop& loop, cluster::Stores& client) {
  return std::make_unique<RpcStore>(loop, client);
}

std::string NewOperation() { return std::string(base::MessageId::New().bytes()); }

}  // namespace posthorn::imap_gateway
