#pragma once

// Which moments of a recording are worth a kill or a power loss.

#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/file/recorder.h"
#include "lib/file/replay.h"

namespace posthorn::proof {

// Right before and after each sync and each answer; the rest at random. Shuffled, so that any first
// part of them is spread over the run; the end of the run comes first.
std::vector<file::PowerLoss> Losses(const std::vector<file::Operation>& log, uint64_t seed);

// At most `most` that would show that the sync `name` is missing from `log` from operation `from`
// on: what it would have covered stays unsynced until the next sync of the same file or directory,
// so right before that, and after the next answers.
std::vector<file::PowerLoss> LossesWithout(const std::vector<file::Operation>& log,
                                           std::string_view name, uint64_t from, uint64_t most,
                                           uint64_t seed);

// At most `most` moments for a kill. What a restart finds is not yet synced right before a sync
// ends, and names are new behind what made them; each kind of those comes in turn.
std::vector<uint64_t> KillMoments(const std::vector<file::Operation>& log, uint64_t most,
                                  uint64_t seed);

}  // namespace posthorn::proof
