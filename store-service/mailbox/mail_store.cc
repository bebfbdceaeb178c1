#include "store-service/mailbox/mail_store.h"

#include <unordered_map>
#include <utility>

#include "lib/base/status_macros.h"
#include "store-service/mailbox/eraser.h"
#include "store-service/service/mailbox_service.h"
#include "store-service/service/sync_service.h"
#include "store-service/sync/sync_hub.h"

namespace posthorn::store_service {
namespace {

// What every account holds, kept current by the commits.
class UsageBook final : public CommitObserver {
 public:
  void Put(const AccountRow& row) { usage_[row.account] = {row.used_bytes, row.used_count}; }
  void Forget(AccountId account) { usage_.erase(account); }
  Usage Find(AccountId account) const {
    const auto found = usage_.find(account);
    return found == usage_.end() ? Usage() : found->second;
  }
  void OnCommitted(const Batch& batch) override {
    for (const auto& [account, row] : batch.rows.accounts()) Put(row);
  }
  void OnLaneLost(uint32_t) override {}

 private:
  std::unordered_map<AccountId, Usage> usage_;
};

using Rows = std::vector<AccountRow>;

absl::StatusOr<Rows> ReadAccounts(Database& database, AccountId after) {
  constexpr uint32_t kPage = 10000;
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  return snapshot->Accounts(after, kPage);
}

}  // namespace

struct MailStore::Impl {
  Impl(Parts parts, Options options)
      : database(&parts.database),
        readers(parts.loop, "store-reader", options.reader_threads, options.max_queued_reads),
        lanes(parts.loop, parts.database, readers, std::move(options.lane)),
        eraser(lanes),
        hub(lanes, parts.accounts, parts.tickets),
        mailboxes(lanes, parts.blobs, parts.digests, parts.accounts, parts.tickets) {
    lanes.AddObserver(&usage);
  }

  Database* database;
  net::BlockingPool readers;
  LaneEngine lanes;
  UsageBook usage;
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
}

net::Task<absl::Status> MailStore::Start() {
  for (AccountId after = 0;;) {
    CO_ASSIGN_OR_RETURN(const Rows rows,
                        co_await impl_->readers.Run([database = impl_->database, after] {
                          return ReadAccounts(*database, after);
                        }));
    if (rows.empty()) break;
    for (const AccountRow& row : rows) impl_->usage.Put(row);
    after = rows.back().account;
  }
  std::vector<uint32_t> all;
  for (uint32_t lane = 0; lane < base::kLanes; ++lane) all.push_back(lane);
  CO_RETURN_IF_ERROR(co_await impl_->lanes.Acquire(std::move(all)));
  impl_->eraser.Start();
  co_return absl::OkStatus();
}

net::Task<void> MailStore::Stop() {
  co_await impl_->eraser.Stop();
  co_await impl_->lanes.Stop();
}

Usage MailStore::UsageOf(base::AccountId account) { return impl_->usage.Find(account); }

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

int64_t MailStore::OldestUnfinishedMs() const {
  return impl_->mailboxes.deliverer().OldestUnfinishedMs();
}

LaneEngine& MailStore::lanes() { return impl_->lanes; }

}  // namespace posthorn::store_service
