#pragma once

// Rows as the contract's columns: snapshots in chunks, deltas.

#include <vector>

#include "absl/status/statusor.h"
#include "posthorn/store/v1/sync.pb.h"
#include "store-service/database/database.h"
#include "store-service/lane/delta.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

inline constexpr size_t kChunkRows = 4000;

struct ViewSnapshot {
  // kLost: the reader knows changes that are not here; nothing was read.
  enum class Found { kYes, kNo, kLost } found = Found::kNo;
  ModSeq modseq = 0;  // everything up to it is in
  std::vector<v1::ViewChunk> chunks;
};

// Reads a mailbox in one database snapshot; only what changed since what is known, if the expunge
// log reaches back that far. Blocks: for readers' threads. `view` and `epoch` of the chunks are
// set.
absl::StatusOr<ViewSnapshot> ReadView(Database& database, AccountId account,
                                      const v1::OpenView& open, uint64_t epoch);

v1::ViewDelta ToDelta(uint64_t view, const Delta& delta);

v1::MailboxState ToState(const MailboxRow& row);

}  // namespace posthorn::store_service
