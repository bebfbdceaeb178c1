#include "store-service/mailbox/mail_store.h"

#include <unordered_map>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "store-service/mailbox/eraser.h"
#include "store-service/service/cluster_service.h"
#include "store-service/service/mailbox_service.h"
#include "store-service/service/sync_service.h"
#include "store-service/sync/sync_hub.h"

namespace posthorn::store_service {
namespace {

constexpr int64_t kRecentMs = 5000;

// What every account holds, kept current by the commits of our lanes; of others as last read.
class UsageBook final : public CommitObserver {
 public:
  void Put(const AccountRow& row) {
    usage_[row.account] = {{row.used_bytes, row.used_count}, base::MonotonicMicros() / 1000};
  }
  void Forget(AccountId account) { usage_.erase(account); }
  Usage Find(AccountId account) const {
    const auto found = usage_.find(account);
    return found == usage_.end() ? Usage() : found->second.usage;
  }
  bool IsRecent(AccountId account) const {
    const auto found = usage_.find(account);
    return found != usage_.end() &&
           base::MonotonicMicros() / 1000 - found->second.read_ms <= kRecentMs;
  }
  void OnCommitted(const Batch& batch) override {
    for (const auto& [account, row] : batch.rows.accounts()) Put(row);
  }
  void OnLaneLost(uint32_t) override {}

 private:
  struct Entry {
    Usage usage;
    int64_t read_ms = 0;
  };
  std::unordered_map<AccountId, Entry> usage_;
};

using Rows = std::vector<AccountRow>;

constexpr uint32_t kPage = 10000;

absl::StatusOr<Rows> ReadAccounts(Database& database, AccountId after, uint32_t limit) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  return snapshot->Accounts(after, limit);
}

}  // namespace

struct MailStore::Impl {
  Impl(Parts parts, Options options)
      : database(&parts.database),
        readers(parts.loop, "store-reader", options.reader_threads, options.max_queued_reads),
        lanes(parts.loop, parts.database, readers, std::move(options.lane)),
        membership(lanes, std::move(options.replica)),
        eraser(lanes),
        hub(lanes, parts.accounts, parts.tickets),
        mailboxes(lanes, parts.blobs, parts.digests, parts.accounts, parts.tickets) {
    lanes.AddObserver(&usage);
  }

  Database* database;
  net::BlockingPool readers;
  LaneEngine lanes;
  UsageBook usage;
  Membership membership;
  Eraser eraser;
  SyncHub hub;
  MailboxService mailboxes;
};

MailStore::MailStore(Parts parts, Options options)
    : impl_(std::make_unique<Impl>(parts, std::move(options))) {}

MailStore::~MailStore() = default;

void MailStore::Register(rpc::Server& server) {
  impl_->mailboxes.Register(server);
  RegisterSync(server, impl_->hub);
  RegisterCluster(server, impl_->membership);
}

net::Task<absl::Status> MailStore::Start() {
  for (AccountId after = 0;;) {
    CO_ASSIGN_OR_RETURN(const Rows rows,
                        co_await impl_->readers.Run([database = impl_->database, after] {
                          return ReadAccounts(*database, after, kPage);
                        }));
    if (rows.empty()) break;
    for (const AccountRow& row : rows) impl_->usage.Put(row);
    after = rows.back().account;
  }
  CO_RETURN_IF_ERROR(co_await impl_->membership.Start());
  impl_->eraser.Start();
  co_return absl::OkStatus();
}

net::Task<void> MailStore::Stop() {
  co_await impl_->membership.Drain();
  co_await impl_->eraser.Stop();
  co_await impl_->lanes.Stop();
}

Usage MailStore::UsageOf(base::AccountId account) { return impl_->usage.Find(account); }

net::Task<Usage> MailStore::RecentUsageOf(base::AccountId account) {
  if (!impl_->lanes.held(base::LaneOf(account)) && !impl_->usage.IsRecent(account)) {
    const absl::StatusOr<Rows> rows = co_await impl_->readers.Run(
        [database = impl_->database, account] { return ReadAccounts(*database, account - 1, 1); });
    if (rows.ok() && !rows->empty() && rows->front().account == account)
      impl_->usage.Put(rows->front());
  }
  co_return impl_->usage.Find(account);
}

net::Task<absl::Status> MailStore::EraseAccount(base::AccountId account) {
  EndSessions(account);
  CO_RETURN_IF_ERROR(co_await impl_->eraser.EraseAccount(account));
  impl_->usage.Forget(account);
  co_return absl::OkStatus();
}

void MailStore::EndSessions(base::AccountId account) {
  impl_->hub.EndSessions(account);
  impl_->mailboxes.EndSessions(account);
}

LaneEngine& MailStore::lanes() { return impl_->lanes; }

const Membership& MailStore::replicas() const { return impl_->membership; }

}  // namespace posthorn::store_service
