#pragma once

// What is deleted goes in small steps between the lanes' batches, so that nobody waits for a
// mailbox of 100,000 messages or a whole account to go. Where a job stands is in the rows
// themselves: after a crash it goes on. Kill points: store.erase.step, store.purge.step.

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"
#include "store-service/lane/engine.h"

namespace posthorn::store_service {

class Eraser final : public CommitObserver {
 public:
  // Rows a step.
  static constexpr uint32_t kStep = 500;

  // `lanes` outlives it.
  explicit Eraser(LaneEngine& lanes);
  // After the lanes were taken: purges what deleted mailboxes left, from before the start and from
  // now on.
  void Start();
  // What is under way stops after its step. Required before destruction, once started.
  net::Task<void> Stop();

  // Everything of the account except its expunge log; OK when nothing is left. No operation of the
  // account succeeds from now on. Idempotent.
  net::Task<absl::Status> EraseAccount(AccountId account);

  void OnCommitted(const Batch& batch) override;
  void OnLaneTaken(uint32_t lane) override;
  void OnLaneLost(uint32_t) override {}

 private:
  net::Task<void> Purge();
  net::Task<absl::StatusOr<bool>> Step(
      std::function<absl::StatusOr<bool>(Database&, const Fence&)> step);

  LaneEngine* lanes_;
  net::Signal wake_;
  net::Promise<bool> ended_;
  bool news_ = true;
  bool started_ = false;
  std::shared_ptr<bool> stopped_ = std::make_shared<bool>(false);
};

}  // namespace posthorn::store_service
