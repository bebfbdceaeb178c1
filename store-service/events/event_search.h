#pragma once

// Searching a directory of event files. Blocks on the disk; shares nothing with the writer but the
// files.

#include "absl/status/statusor.h"
#include "store-service/events/event_store.h"

namespace posthorn::store_service {

absl::StatusOr<EventResult> SearchEvents(file::FileSystem& system, const std::string& directory,
                                         const EventQuery& query);

}  // namespace posthorn::store_service
