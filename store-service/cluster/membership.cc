#include "store-service/cluster/membership.h"

#include <chrono>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/cluster/name.h"
#include "store-service/cluster/plan.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
using std::chrono::milliseconds;

int64_t NowMs() { return base::MonotonicMicros() / 1000; }

std::vector<uint32_t> AllLanes() {
  std::vector<uint32_t> all;
  for (uint32_t lane = 0; lane < base::kLanes; ++lane) all.push_back(lane);
  return all;
}

}  // namespace

Membership::Membership(LaneEngine& lanes, MembershipOptions options)
    : lanes_(&lanes), options_(std::move(options)), changed_(lanes.loop()) {}

Membership::~Membership() { *alive_ = false; }

net::Task<absl::Status> Membership::Start() {
  if (options_.size == MembershipOptions::Size::kSingle) {
    CO_RETURN_IF_ERROR(co_await lanes_->Acquire(AllLanes()));
    MakeMap();
    co_return absl::OkStatus();
  }
  absl::StatusOr<ClusterRows> rows = co_await Beat();
  if (absl::IsAlreadyExists(rows.status())) co_return co_await WhoHasTheName();
  CO_RETURN_IF_ERROR(rows.status());
  Take(*std::move(rows));
  lanes_->loop().Spawn("store.membership", Run());
  co_return absl::OkStatus();
}

ReplicaRow Membership::Me() const {
  return {.name = options_.name,
          .address = options_.address,
          .version = options_.version,
          .state = draining_ ? ReplicaRow::State::kDraining : ReplicaRow::State::kServing,
          .instance = options_.instance};
}

net::Task<absl::StatusOr<ClusterRows>> Membership::Beat() {
  auto rows = std::make_shared<ClusterRows>();
  CO_RETURN_IF_ERROR(co_await lanes_->Ask([rows, me = Me()](Database& database) -> absl::Status {
    ASSIGN_OR_RETURN(*rows, database.Beat(me));
    return absl::OkStatus();
  }));
  co_return std::move(*rows);
}

net::Task<absl::StatusOr<ClusterRows>> Membership::Look() {
  co_return co_await lanes_->readers().Run(
      [database = &lanes_->database()]() -> absl::StatusOr<ClusterRows> {
        ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
        return snapshot->ReadCluster();
      });
}

net::Task<absl::Status> Membership::WhoHasTheName() {
  const absl::StatusOr<ClusterRows> rows = co_await Look();
  if (rows.ok()) {
    for (const ReplicaRow& row : rows->replicas)
      if (row.name == options_.name) co_return base::Exists(NameInUse(row));
  }
  co_return base::Exists(base::StrCat("the name \"", options_.name, "\" is in use"));
}

// Our lanes' rows are that process's by their owner's name: it takes them under new epochs, and
// whatever we still write fails.
net::Task<void> Membership::Replaced() {
  const std::shared_ptr<bool> alive = alive_;
  replaced_ = left_ = true;
  const absl::Status who = co_await WhoHasTheName();
  if (!*alive) co_return;
  observe::Error("store.replaced", {{"reason", base::Message(who)}});
  if (options_.replaced) options_.replaced(who);
}

net::Task<void> Membership::Run() {
  const std::shared_ptr<bool> alive = alive_;
  int64_t next_beat = NowMs();
  while (*alive && !left_) {
    const bool beats = NowMs() >= next_beat;
    absl::StatusOr<ClusterRows> rows = beats ? co_await Beat() : co_await Look();
    if (!*alive || left_) co_return;
    if (rows.ok()) {
      if (beats) next_beat = NowMs() + options_.beat_ms;
      Take(*std::move(rows));
      co_await FollowPlan();
      if (!*alive) co_return;
    } else if (absl::IsAlreadyExists(rows.status())) {
      co_return co_await Replaced();
    } else {
      observe::Warning("store.membership", {{"error", base::Message(rows.status())}});
    }
    co_await net::Sleep(lanes_->loop(), milliseconds(options_.look_ms));
  }
}

void Membership::Take(ClusterRows rows) {
  const int64_t now = NowMs();
  // The database was away for everybody: nobody's silence in that time counts.
  const bool fresh = now - heard_ms_ <= options_.dead_ms / 2;
  heard_ms_ = now;
  for (const ReplicaRow& replica : rows.replicas) {
    Seen& seen = seen_[replica.name];
    const bool first = seen.heard_ms == 0;
    // At our start: who has been silent for long already is not waited for.
    if (first && rows.now_ms - replica.seen_ms > options_.dead_ms) {
      seen = {replica.seen_ms, 1};
      continue;
    }
    if (seen.seen_ms != replica.seen_ms) {
      seen = {replica.seen_ms, now};
    } else if (!fresh && seen.heard_ms > 1) {
      seen.heard_ms = now;
    }
  }
  rows_ = std::move(rows);
  MakeMap();
}

bool Membership::IsAlive(const std::string& name) const {
  if (name == options_.name) return true;
  const auto seen = seen_.find(name);
  return seen != seen_.end() && NowMs() - seen->second.heard_ms <= options_.dead_ms;
}

std::set<std::string> Membership::Able() const {
  std::set<std::string> able;
  for (const ReplicaRow& replica : rows_.replicas) {
    const bool draining =
        replica.name == options_.name ? draining_ : replica.state == ReplicaRow::State::kDraining;
    if (!draining && IsAlive(replica.name)) able.insert(replica.name);
  }
  return able;
}

net::Task<void> Membership::FollowPlan() {
  const std::shared_ptr<bool> alive = alive_;
  const Plan plan = MakePlan(rows_, Able());
  std::vector<uint32_t> takes;
  for (const uint32_t lane : plan.Takes(options_.name, rows_)) {
    if (!draining_ && !lanes_->owned(lane)) takes.push_back(lane);
  }
  if (!takes.empty()) {
    const absl::Status taken = co_await lanes_->Acquire(takes);
    if (!*alive) co_return;
    observe::Info("store.lanes.taken", {{"asked", takes.size()}, {"error", base::Message(taken)}});
  }
  for (const uint32_t lane : plan.Gives(options_.name, rows_)) {
    if (!lanes_->owned(lane)) continue;
    const absl::Status given = co_await lanes_->Release(lane);
    if (!*alive) co_return;
    observe::Info("store.lane.handed_over",
                  {{"lane", lane}, {"to", plan.owner[lane]}, {"error", base::Message(given)}});
    if (given.ok()) rows_.lanes[lane].owner.clear();
    MakeMap();
  }
  if (!takes.empty()) MakeMap();
}

// What we own we know better than the rows.
void Membership::MakeMap() {
  v1::ClusterMap map;
  std::map<std::string, uint32_t> index;
  if (options_.size == MembershipOptions::Size::kSingle) rows_.replicas = {{.name = options_.name}};
  for (const ReplicaRow& replica : rows_.replicas) {
    if (!IsAlive(replica.name)) continue;
    index[replica.name] = static_cast<uint32_t>(map.replicas_size());
    v1::ClusterMap::Replica& out = *map.add_replicas();
    out.set_name(replica.name);
    out.set_address(replica.address);
    out.set_version(replica.version);
    out.set_draining(replica.state == ReplicaRow::State::kDraining ||
                     (draining_ && replica.name == options_.name));
  }
  for (uint32_t i = 0; i < base::kLanes; ++i) {
    v1::ClusterMap::Lane& lane = *map.add_lanes();
    if (lanes_->owned(i)) {
      lane.set_owner(index[options_.name]);
      lane.set_epoch(lanes_->epoch(i));
      continue;
    }
    if (i >= rows_.lanes.size()) continue;
    const LaneRow& row = rows_.lanes[i];
    lane.set_epoch(row.epoch);
    const auto owner = index.find(row.owner);
    if (owner != index.end() && row.owner != options_.name) lane.set_owner(owner->second);
  }
  if (map.SerializeAsString() == map_.SerializeAsString()) return;
  map_ = std::move(map);
  changed_.NotifyAll();
}

std::string Membership::Missing() const {
  if (options_.size == MembershipOptions::Size::kMany)
    return NowMs() - heard_ms_ > options_.dead_ms ? "the database" : "";
  for (uint32_t lane = 0; lane < base::kLanes; ++lane) {
    if (!lanes_->owned(lane)) return base::StrCat("lane ", lane);
  }
  return "";
}

bool Membership::OthersOwnOurs() const {
  for (const LaneRow& lane : rows_.lanes) {
    if (lane.owner.empty() || lane.owner == options_.name || lanes_->owned(lane.lane)) return false;
  }
  return true;
}

net::Task<void> Membership::Drain() {
  const std::shared_ptr<bool> alive = alive_;
  if (options_.size == MembershipOptions::Size::kSingle || replaced_) co_return;
  draining_ = true;
  const int64_t deadline = NowMs() + options_.drain_ms;
  MakeMap();
  auto told = co_await Beat();
  if (!*alive || absl::IsAlreadyExists(told.status())) co_return;
  if (told.ok()) Take(*std::move(told));
  while (NowMs() < deadline && !Able().empty() && !OthersOwnOurs()) {
    co_await net::Sleep(lanes_->loop(), milliseconds(options_.look_ms / 2));
    if (!*alive) co_return;
  }
  // Callers hear of it a moment later.
  co_await net::Sleep(lanes_->loop(), milliseconds(options_.look_ms * 3));
  if (!*alive) co_return;
  // A beat after this would bring it back.
  left_ = true;
  (void)co_await lanes_->Ask([me = Me()](Database& database) { return database.Leave(me); });
}

}  // namespace posthorn::store_service
