#pragma once

// What `posthorn status` says, from what was heard. Pure. Whatever is wrong becomes a sentence of
// its own, which names who.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "admin-service/service/reports.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

// A process may use the revision before for so long.
inline constexpr int64_t kNewRevisionMs = 5000;
// What follows may be so far behind.
inline constexpr uint64_t kLagMs = 5000;
// From here on certificates that end are named.
inline constexpr int64_t kCertificateDays = 14;

struct ConfigurationHead {
  uint64_t revision = 0;
  int64_t age_ms = 0;  // since it is the newest one
};

// "smtp-gateway mx-1".
std::string WhoIs(const admin::v1::ProcessStatus& process);

// One row for each process; and sentences about those that are silent, not ready, behind, or say
// something themselves.
void AddHeard(const std::vector<Reports::Heard>& heard, const ConfigurationHead& head,
              admin::v1::StatusReply& reply);
// Those of `expected` that have no row get one; and a sentence, once `listening_ms`, for which this
// admin-service has run, is so long that they would have spoken.
void AddMissing(const std::vector<std::string>& expected, int64_t listening_ms,
                admin::v1::StatusReply& reply);
// When the rows are of more than one release.
void AddVersions(admin::v1::StatusReply& reply);
// A store's answer; or why there is none.
void AddStore(absl::StatusOr<store::v1::StoreStatusReply> store, admin::v1::StatusReply& reply);
// A queue's answer; `target` is where it was asked. Behind the rows of processes: one that starts
// need not answer yet.
void AddQueue(absl::StatusOr<queue::v1::QueueStatusReply> queue, std::string_view target,
              admin::v1::StatusReply& reply);
// Once, behind all queues.
void AddQueueTotals(admin::v1::StatusReply& reply);
// A certificate that clients see.
void AddCertificate(std::string_view name, int64_t seconds_left, admin::v1::StatusReply& reply);

}  // namespace posthorn::admin_service
