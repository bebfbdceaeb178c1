#pragma once

// posthorn.store.v1.QueueJournal: the journals of queues over a database, on threads and
// connections of their own, so that they never wait behind the mail's committer nor a batch behind
// a page that is read. Also answers the collector for them: what lies in the tables needs nobody
// who attends.

#include <memory>

#include "lib/net/loop.h"
#include "lib/rpc/server.h"
#include "store-service/database/sql/connection.h"
#include "store-service/queue/queue_table.h"
#include "store-service/service/journal_registry.h"

namespace posthorn::store_service {

class QueueJournals final : public JournalRegistry {
 public:
  // Blocks while the tables are made. `loop` outlives it.
  static absl::StatusOr<std::unique_ptr<QueueJournals>> Open(net::Loop& loop,
                                                             sql::Database& database,
                                                             QueueLeaseTimes times = {});
  void Register(rpc::Server& server);

  net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) override;
  net::Task<absl::StatusOr<int64_t>> OldestUnfinishedMs() override;
  std::vector<std::string> Silent() const override { return {}; }
  net::Task<absl::StatusOr<std::vector<store::v1::StoreStatusReply::QueueJournal>>> Summaries();

 private:
  QueueJournals() = default;

  // One thread and what it works with.
  struct Side {
    std::unique_ptr<sql::Connection> db;
    std::unique_ptr<QueueLeases> leases;
    std::unique_ptr<QueueTable> table;
    std::unique_ptr<net::BlockingPool> thread;
  };
  static absl::StatusOr<Side> OpenSide(net::Loop& loop, sql::Database& database,
                                       QueueLeaseTimes times);

  Side writer_;
  Side reader_;
};

// Several registries as one: whoever any of them speaks for counts.
class AllJournals final : public JournalRegistry {
 public:
  explicit AllJournals(std::vector<JournalRegistry*> parts) : parts_(std::move(parts)) {}
  net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) override;
  net::Task<absl::StatusOr<int64_t>> OldestUnfinishedMs() override;
  std::vector<std::string> Silent() const override;

 private:
  const std::vector<JournalRegistry*> parts_;
};

}  // namespace posthorn::store_service
