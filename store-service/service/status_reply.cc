#include "store-service/service/status_reply.h"

#include <algorithm>
#include <map>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

// Which lanes a replica has, and when the first of its leases runs out.
struct Share {
  uint32_t lanes = 0;
  int64_t expires_ms = INT64_MAX;
};

}  // namespace

void DescribeReplicas(const ClusterRows& rows, const std::function<bool(const std::string&)>& alive,
                      v1::StoreStatusReply& reply) {
  std::map<std::string, Share> shares;
  for (const LaneRow& lane : rows.lanes) {
    if (lane.owner.empty() || !alive(lane.owner)) reply.add_ownerless(lane.lane);
    Share& share = shares[lane.owner];
    ++share.lanes;
    share.expires_ms = std::min(share.expires_ms, lane.expires_ms);
  }
  reply.set_lanes(static_cast<uint32_t>(rows.lanes.size()));
  for (const ReplicaRow& row : rows.replicas) {
    v1::StoreStatusReply::Replica& replica = *reply.add_replicas();
    replica.set_name(row.name);
    replica.set_address(row.address);
    replica.set_version(row.version);
    replica.set_draining(row.state == ReplicaRow::State::kDraining);
    replica.set_alive(alive(row.name));
    const int64_t silent = std::max<int64_t>(0, rows.now_ms - row.seen_ms);
    replica.set_silent_ms(static_cast<uint64_t>(silent));
    replica.set_started_ms(row.started_ms);
    const Share share = shares[row.name];
    replica.set_lanes(share.lanes);
    if (share.lanes > 0) replica.set_lease_left_ms(share.expires_ms - rows.now_ms);
    if (replica.alive()) continue;
    reply.add_problems(base::StrCat("the store ", row.name, " at ", row.address,
                                    " has said nothing for ", silent / 1000, " s"));
  }
  if (reply.ownerless_size() > 0) {
    reply.add_problems(base::StrCat(reply.ownerless_size(), " of ", rows.lanes.size(),
                                    " lanes have no store: their accounts' mail waits"));
  }
}

void DescribeBlobs(const BlobPlace& place, v1::StoreStatusReply& reply) {
  v1::StoreStatusReply::Blobs& blobs = *reply.mutable_blobs();
  blobs.set_kind(place.kind);
  blobs.set_place(place.place);
  if (place.free_bytes) blobs.set_free_bytes(*place.free_bytes);
  if (place.size_bytes) blobs.set_size_bytes(*place.size_bytes);
  blobs.set_unreachable(place.unreachable);
  if (!place.unreachable.empty()) {
    reply.add_problems(base::StrCat("the ", place.kind, " of message files, ", place.place,
                                    ", cannot be reached: ", place.unreachable));
  }
  if (!place.free_bytes || !place.size_bytes || *place.size_bytes == 0) return;
  if (*place.free_bytes >= *place.size_bytes / 10) return;
  reply.add_problems(base::StrCat("the disk of message files, ", place.place,
                                  ", is nearly full: ", *place.free_bytes * 100 / *place.size_bytes,
                                  " % (", *place.free_bytes >> 20, " MiB) left"));
}

void DescribeDatabase(const DatabaseServer& server, v1::StoreStatusReply& reply) {
  v1::StoreStatusReply::Database& database = *reply.mutable_database();
  database.set_engine(server.engine);
  database.set_place(server.place);
  database.set_node(server.node);
}

}  // namespace posthorn::store_service
