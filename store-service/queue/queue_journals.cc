#include "store-service/queue/queue_journals.h"

#include <algorithm>

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/methods/store.h"
#include "store-service/queue/schema.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

// Each queue has one batch outstanding: this is far more queues than there will be.
constexpr size_t kMaxWaiting = 4096;

}  // namespace

absl::StatusOr<QueueJournals::Side> QueueJournals::OpenSide(net::Loop& loop,
                                                            sql::Database& database,
                                                            QueueLeaseTimes times) {
  Side side;
  ASSIGN_OR_RETURN(side.db, database.Connect());
  RETURN_IF_ERROR(side.db->Migrate("queue", QueueSchema()));
  side.leases = std::make_unique<QueueLeases>(*side.db, times);
  side.table = std::make_unique<QueueTable>(*side.db, *side.leases);
  side.thread = std::make_unique<net::BlockingPool>(loop, "queue-journal", 1, kMaxWaiting);
  return side;
}

absl::StatusOr<std::unique_ptr<QueueJournals>> QueueJournals::Open(net::Loop& loop,
                                                                   sql::Database& database,
                                                                   QueueLeaseTimes times) {
  std::unique_ptr<QueueJournals> journals(new QueueJournals);
  ASSIGN_OR_RETURN(journals->writer_, OpenSide(loop, database, times));
  ASSIGN_OR_RETURN(journals->reader_, OpenSide(loop, database, times));
  return journals;
}

void QueueJournals::Register(rpc::Server& server) {
  // `work` is a method of `part`, which belongs to the thread of `side`.
  const auto serve = [&server](auto method, const Side& side, auto& part, auto work) {
    using Q = typename decltype(method)::Request;
    using R = typename decltype(method)::Reply;
    const auto run = [thread = side.thread.get(), &part, work](const rpc::CallContext&, Q request) {
      return thread->Run([&part, work, request = std::move(request)]() -> absl::StatusOr<R> {
        return (part.*work)(request);
      });
    };
    server.Handle<Q, R>(method, {kQueue}, run);
  };
  serve(rpc::store::kQueueJournalOpen, writer_, *writer_.leases, &QueueLeases::Open);
  serve(rpc::store::kQueueJournalRenew, writer_, *writer_.leases, &QueueLeases::Renew);
  serve(rpc::store::kQueueJournalClaim, writer_, *writer_.leases, &QueueLeases::Claim);
  serve(rpc::store::kQueueJournalAppend, writer_, *writer_.table, &QueueTable::Append);
  serve(rpc::store::kQueueJournalLoad, reader_, *reader_.table, &QueueTable::Load);
  serve(rpc::store::kQueueJournalRead, reader_, *reader_.table, &QueueTable::Read);
}

net::Task<absl::StatusOr<std::vector<uint64_t>>> QueueJournals::Held(std::vector<uint64_t> keys) {
  CO_ASSIGN_OR_RETURN(
      std::vector<uint64_t> held,
      co_await reader_.thread->Run(
          [table = reader_.table.get(), keys = std::move(keys)] { return table->Held(keys); }));
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  co_return held;
}

net::Task<absl::StatusOr<std::vector<v1::StoreStatusReply::QueueJournal>>>
QueueJournals::Summaries() {
  return reader_.thread->Run([table = reader_.table.get()] { return table->Summaries(); });
}

net::Task<absl::StatusOr<int64_t>> QueueJournals::OldestUnfinishedMs() {
  CO_ASSIGN_OR_RETURN(
      const std::optional<std::string> oldest,
      co_await reader_.thread->Run([table = reader_.table.get()] { return table->Oldest(); }));
  if (!oldest) co_return INT64_MAX;
  const std::optional<base::MessageId> id = base::MessageId::FromBytes(*oldest);
  co_return id ? id->millis() : 0;
}

net::Task<absl::StatusOr<std::vector<uint64_t>>> AllJournals::Held(std::vector<uint64_t> keys) {
  std::vector<uint64_t> held;
  for (JournalRegistry* part : parts_) {
    CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> some, co_await part->Held(keys));
    held.insert(held.end(), some.begin(), some.end());
  }
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  co_return held;
}

net::Task<absl::StatusOr<int64_t>> AllJournals::OldestUnfinishedMs() {
  int64_t oldest = INT64_MAX;
  for (JournalRegistry* part : parts_) {
    CO_ASSIGN_OR_RETURN(const int64_t some, co_await part->OldestUnfinishedMs());
    oldest = std::min(oldest, some);
  }
  co_return oldest;
}

std::vector<std::string> AllJournals::Silent() const {
  std::vector<std::string> silent;
  for (const JournalRegistry* part : parts_) {
    const std::vector<std::string> some = part->Silent();
    silent.insert(silent.end(), some.begin(), some.end());
  }
  return silent;
}

}  // namespace posthorn::store_service
