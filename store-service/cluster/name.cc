#include "store-service/cluster/name.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/database/utc_text.h"

namespace posthorn::store_service {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kDatabasePause{500};
// Who was silent for so many of the times after which he counts as dead, is.
constexpr int64_t kLongDead = 10;

struct Holder {
  int64_t now_ms = 0;
  std::optional<ReplicaRow> row;
};

absl::StatusOr<Holder> HolderOf(Database& database, const std::string& name) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  ASSIGN_OR_RETURN(const ClusterRows rows, snapshot->ReadCluster());
  Holder holder{rows.now_ms, std::nullopt};
  for (const ReplicaRow& row : rows.replicas)
    if (row.name == name) holder.row = row;
  return holder;
}

// One try after another; what was seen of the one who has the name.
class Claim {
 public:
  Claim(Database& database, const MembershipOptions& options)
      : database_(database),
        options_(options),
        me_{.name = options.name,
            .address = options.address,
            .version = options.version,
            .state = ReplicaRow::State::kDraining,
            .instance = options.instance} {}

  // False: to be tried again in a moment.
  absl::StatusOr<bool> Try() {
    const absl::Status said = database_.Beat(me_).status();
    if (said.ok()) return true;
    if (!absl::IsAlreadyExists(said)) return said;
    ASSIGN_OR_RETURN(const Holder holder, HolderOf(database_, options_.name));
    if (!holder.row) return false;
    const int64_t now = base::MonotonicMicros() / 1000;
    if (!first_) {
      first_ = *holder.row;
      watched_since_ms_ = now;
    }
    if (first_->instance != holder.row->instance || first_->seen_ms != holder.row->seen_ms)
      return base::Exists(NameInUse(*holder.row));
    const int64_t silent = holder.now_ms - first_->seen_ms;
    // The database may have been away for him, and is back for both of us.
    const bool watched = now - watched_since_ms_ >= 2 * options_.beat_ms;
    const bool dead =
        silent > kLongDead * options_.dead_ms || (silent > options_.dead_ms && watched);
    if (!dead) return false;
    const absl::Status taken = database_.TakeName(me_, *first_);
    if (taken.ok()) observe::Info("store.name.taken_over", {{"name", options_.name}});
    if (!taken.ok() && !absl::IsAborted(taken)) return taken;
    return false;  // the next beat tells
  }

 private:
  Database& database_;
  const MembershipOptions& options_;
  const ReplicaRow me_;
  std::optional<ReplicaRow> first_;
  int64_t watched_since_ms_ = 0;
};

}  // namespace

std::string NameInUse(const ReplicaRow& row) {
  return base::StrCat("the name \"", row.name, "\" is in use by ",
                      row.address.empty() ? "another process" : row.address, " (started ",
                      UtcText(row.started_ms), ")");
}

net::Task<absl::Status> ClaimName(net::Loop& loop, Database& database, MembershipOptions options) {
  if (options.size == MembershipOptions::Size::kSingle) co_return absl::OkStatus();
  Claim claim(database, options);
  for (bool told = false;;) {
    const absl::StatusOr<bool> done = claim.Try();
    if (done.ok() && *done) co_return absl::OkStatus();
    if (!done.ok() && !absl::IsUnavailable(done.status())) co_return done.status();
    if (!done.ok() && !std::exchange(told, true))
      observe::Warning("store.waiting_for_database", {{"reason", base::Message(done.status())}});
    co_await net::Sleep(loop, done.ok() ? milliseconds(options.look_ms) : kDatabasePause);
  }
}

}  // namespace posthorn::store_service
