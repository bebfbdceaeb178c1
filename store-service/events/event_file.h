#pragma once

// One day's file of blocks.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/file_system.h"
#include "store-service/events/block.h"

namespace posthorn::store_service {

// Where a block lies.
struct BlockPlace {
  BlockHeader header;
  uint64_t offset = 0;
  std::string bloom;
};

// All blocks of the file that are sound up to and including their filters, oldest first; damaged
// stretches are skipped. `end`: behind the last of them.
absl::StatusOr<std::vector<BlockPlace>> ListBlocks(file::File& file, uint64_t& end);
// The events' bytes. kDataLoss when they do not check.
absl::StatusOr<std::string> ReadPayload(file::File& file, const BlockPlace& place);

// "2026-11-21.events" for a time in milliseconds (UTC), and back: days since 1970, or -1.
std::string DayFileName(int64_t time_ms);
int64_t DayOfFileName(const std::string& name);
inline constexpr int64_t kDayMs = 86'400'000;

}  // namespace posthorn::store_service
