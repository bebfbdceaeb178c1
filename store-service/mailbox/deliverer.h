#pragma once

// Deliver (deep-structures 5): each recipient's copy whole or absent, and never twice for one
// delivery id.

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/directory/accounts.h"
#include "store-service/lane/engine.h"
#include "store-service/mailbox/delivery_memory.h"
#include "store-service/service/digest_source.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

class Deliverer final : public CommitObserver {
 public:
  // Made before `lanes` takes any, and outlived by it.
  Deliverer(LaneEngine& lanes, const Accounts& accounts, DigestSource& digests);
  // One result for each delivery, in order.
  net::Task<v1::DeliverReply> Deliver(v1::DeliverRequest request);

  void OnCommitted(const Batch&) override {}
  void OnLaneTaken(uint32_t lane) override;
  void OnLaneLost(uint32_t lane) override { memory_.Lose(lane); }

 private:
  struct Call;
  class DeliverOperation;
  net::Task<void> Prepare(std::shared_ptr<Call> call, int index);
  net::Task<absl::StatusOr<std::optional<DeliveryRow>>> LookUp(DeliveryKey key);

  LaneEngine* lanes_;
  const Accounts* accounts_;
  DigestSource* digests_;
  DeliveryMemory memory_;
};

}  // namespace posthorn::store_service
