#pragma once

// Runs of a machine as recordings, and what other machines find after a power loss in one.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"
#include "tests/proof/ledger.h"

namespace posthorn::proof {

struct Recording {
  std::vector<file::Operation> log;
  std::vector<Fact> facts;
};

// Before the first recording: the VFSs for machines on real files.
absl::Status SetUpReplays();
void TearDownReplays();

// Two lives of one machine under load.
absl::StatusOr<Recording> Record(uint64_t seed);

// All processes are killed after `count` operations of `recording`, and start again: what the
// kernel kept is there, though it may not be on the disk yet. One more message comes, and the queue
// comes to rest. The first `count` operations are those of `recording`.
absl::StatusOr<Recording> Killed(const Recording& recording, uint64_t count);

// The same run, had the sync `name` been left out of the program from operation `from` on. Nothing
// a program does depends on whether a sync reached the disk, so nothing else changes.
Recording Without(Recording recording, std::string_view name, uint64_t from = 0);

// What is wrong after this power loss; empty: nothing.
std::string WrongAfter(const Recording& recording, const file::PowerLoss& loss);
std::string Describe(const Recording& recording, const file::PowerLoss& loss);
// The first power loss that breaks a promise, in words; empty when none does.
std::string FirstWrong(const Recording& recording, const std::vector<file::PowerLoss>& losses);

}  // namespace posthorn::proof
