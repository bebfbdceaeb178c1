#pragma once

// This replica among the others: says that it is there, sees who else is, takes and hands over
// lanes by the plan, and knows the map that callers are told. On the store's loop. Invariants:
//  1. Only who was seen to be silent for `dead_ms`, while this replica itself heard from the
//  database, counts as dead.
//  2. While it drains it hands over and takes nothing.
//  3. A process that finds another one under its name leaves, and says nothing any more.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "posthorn/store/v1/cluster.pb.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

struct MembershipOptions {
  std::string name = "local";
  std::string address;  // empty: the only replica, reached where the caller found it
  std::string version;
  std::string instance;  // of this process, another one at each start
  // Runs once when another process has the name; the text says who.
  std::function<void(const absl::Status&)> replaced;
  // One on SQLite: it takes all lanes and never looks around.
  enum class Size { kSingle, kMany } size = Size::kSingle;
  int64_t beat_ms = 1000;
  int64_t look_ms = 100;
  int64_t dead_ms = 4000;
  // A replica that drains alone gives up waiting for another to take its lanes.
  int64_t drain_ms = 20000;
};

class Membership {
 public:
  // `lanes` outlives it.
  Membership(LaneEngine& lanes, MembershipOptions options);
  ~Membership();

  // Takes what is ours by the plan; a single replica: everything. Errors of the database.
  // kAlreadyExists, in words: another process has the name.
  net::Task<absl::Status> Start();
  // Hands every lane over, so that nobody is refused: returns when others own them or there is no
  // other. Then says that this replica is gone.
  net::Task<void> Drain();

  const posthorn::store::v1::ClusterMap& map() const { return map_; }
  // Notified when the map changed.
  net::Signal& changed() { return changed_; }
  // Replicas as last seen, also silent ones, for `status`.
  const ClusterRows& rows() const { return rows_; }
  bool IsAlive(const std::string& name) const;
  // What keeps this replica from doing its part, for /readyz; empty: nothing.
  std::string Missing() const;

 private:
  struct Seen {
    int64_t seen_ms = 0;   // what it wrote
    int64_t heard_ms = 0;  // when we saw that, by our own clock
  };
  net::Task<void> Run();
  net::Task<absl::StatusOr<ClusterRows>> Beat();
  net::Task<absl::StatusOr<ClusterRows>> Look();
  void Take(ClusterRows rows);
  std::set<std::string> Able() const;
  net::Task<void> FollowPlan();
  void MakeMap();
  bool OthersOwnOurs() const;
  ReplicaRow Me() const;
  net::Task<absl::Status> WhoHasTheName();
  net::Task<void> Replaced();

  LaneEngine* lanes_;
  const MembershipOptions options_;
  net::Signal changed_;
  ClusterRows rows_;
  std::map<std::string, Seen> seen_;
  int64_t heard_ms_ = 0;  // when the database last answered
  posthorn::store::v1::ClusterMap map_;
  bool draining_ = false;
  bool left_ = false;
  bool replaced_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace posthorn::store_service
