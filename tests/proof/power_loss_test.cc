// [deep-structures 15] Power losses of a whole machine: store and queue together.
//
// A run under load is recorded once; then many prefixes of the recording become the disk of another
// machine, which must hold everything that had been answered by then.
//   POSTHORN_PROOF_REPLAYS=n   how many power losses are tried (default 160)
//   POSTHORN_PROOF_SEED=n      another run

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "lib/base/strings.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"
#include "lib/testing/run_task.h"
#include "tests/proof/compare.h"
#include "tests/proof/repeat.h"
#include "tests/proof/workload.h"

namespace posthorn::proof {
namespace {

using file::Operation;
using file::PowerLoss;
using file::Unsynced;

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    name += "/posthorn_proof_XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  std::string path;
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : base::ParseInt<uint64_t>(text).value_or(otherwise);
}

struct Recording {
  std::vector<Operation> log;
  std::vector<Fact> facts;
};

// Two lives of one machine under load.
Recording Record(uint64_t seed) {
  const Folder folder;
  file::Recorder recorder(file::Real(), folder.path);
  EXPECT_TRUE(Machine::RegisterVfs(recorder, "recorded").ok());
  Ledger ledger(recorder);
  Workload workload(ledger, {.seed = seed});
  for (int life = 0; life < 2; ++life) {
    auto machine = Machine::Start({folder.path, &recorder, "recorded"});
    EXPECT_TRUE(machine.ok()) << machine.status();
    if (!machine.ok()) break;
    if (life == 0) {
      const absl::Status prepared = workload.Prepare(**machine);
      EXPECT_TRUE(prepared.ok()) << prepared;
    }
    const absl::Status status = workload.Phase(**machine);
    EXPECT_TRUE(status.ok()) << status;
  }
  Machine::UnregisterVfs("recorded");
  return {recorder.Log(), ledger.facts()};
}

// What is wrong after this power loss; empty: nothing.
std::string WrongAfter(const Recording& recording, const PowerLoss& loss) {
  const Folder lost;
  const absl::Status made = file::Materialise(recording.log, loss, lost.path);
  if (!made.ok()) return std::string(base::Message(made));
  auto machine = Machine::Start({lost.path, &file::Real(), "real"});
  if (!machine.ok()) return base::StrCat("start: ", base::Message(machine.status()));
  return WrongWith(**machine,
                   ExpectedAfter(recording.facts, file::MarksBefore(recording.log, loss.count)));
}

std::string Describe(const Recording& recording, const PowerLoss& loss) {
  constexpr const char* kNames[] = {"dropped", "kept", "mixed"};
  return base::StrCat("after ", loss.count, " of ", recording.log.size(), " operations, unsynced ",
                      kNames[static_cast<int>(loss.unsynced)], ", seed ", loss.seed);
}

// The moments worth trying: right before and after each sync and each answer; the rest at random.
// Shuffled, so that any first part of them is spread over the run.
std::vector<PowerLoss> Losses(const Recording& recording, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<PowerLoss> losses;
  for (uint64_t i = 0; i < recording.log.size(); ++i) {
    const Operation::Kind kind = recording.log[i].kind;
    const bool boundary = kind == Operation::Kind::kSync || kind == Operation::Kind::kMark ||
                          kind == Operation::Kind::kSyncDirectory;
    if (!boundary && random() % 4 != 0) continue;
    for (const Unsynced unsynced : {Unsynced::kDropped, Unsynced::kMixed, Unsynced::kKept}) {
      losses.push_back({i + random() % 2, unsynced, random()});
    }
  }
  std::shuffle(losses.begin(), losses.end(), random);
  losses.push_back({recording.log.size(), Unsynced::kDropped, 0});
  std::swap(losses.front(), losses.back());
  return losses;
}

class PowerLossTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(Machine::RegisterVfs(file::Real(), "real").ok()); }
  static void TearDownTestSuite() { Machine::UnregisterVfs("real"); }
  const uint64_t seed_ = FromEnvironment("POSTHORN_PROOF_SEED", 1);
  const uint64_t replays_ = FromEnvironment("POSTHORN_PROOF_REPLAYS", 160);
};

TEST_F(PowerLossTest, EverythingAnsweredIsThereOnceAfterAnyPrefix) {
  const Recording recording = Record(seed_);
  uint64_t left = replays_;
  for (const PowerLoss& loss : Losses(recording, seed_)) {
    if (left-- == 0) break;
    ASSERT_EQ(WrongAfter(recording, loss), "") << Describe(recording, loss);
  }
  std::printf("%zu operations, %zu facts, %llu power losses\n", recording.log.size(),
              recording.facts.size(), static_cast<unsigned long long>(replays_ - left));
}

// Every client looks at its whole account.
void LookAtAll(Machine& machine, const std::vector<Fact>& facts, Ledger& ledger) {
  std::set<base::AccountId> accounts;
  for (const Fact& fact : facts) accounts.insert(fact.accounts.begin(), fact.accounts.end());
  const auto all = ReadMailboxes(machine, accounts);
  ASSERT_TRUE(all.ok()) << all.status();
  for (const auto& [account, mailboxes] : *all) {
    auto effect = std::make_shared<Effect>();
    effect->set.assign(mailboxes.begin(), mailboxes.end());
    ledger.Say({.kind = Fact::Kind::kLooked, .accounts = {account}, .effect = effect});
  }
}

void AcceptOneMore(Machine& machine, Ledger& ledger) {
  const base::AccountId account = machine.AccountOf(AddressOf(0));
  if (account == 0) return;  // killed before there was any
  Fact fact{.number = 2'000'000, .accounts = {account}};
  ledger.Say(fact);
  const absl::Status sent =
      testing::RunTask(machine.loop(), Send(machine, AddressOf(0), fact.number));
  ASSERT_TRUE(sent.ok()) << sent;
  fact.kind = Fact::Kind::kAccepted;
  ledger.Say(fact);
}

// All processes are killed after `count` operations of `recording`, and start again: what the
// kernel kept is there, though it may not be on the disk yet. One more message comes, and the queue
// comes to rest.
Recording Killed(const Recording& recording, uint64_t count) {
  const Folder folder;
  file::Recorder recorder(file::Real(), folder.path);
  const absl::Status repeated = Repeat(recording.log, count, recorder, folder.path);
  EXPECT_TRUE(repeated.ok()) << repeated;
  EXPECT_TRUE(Machine::RegisterVfs(recorder, "killed").ok());
  Ledger ledger(recorder, recording.facts);
  {
    auto machine = Machine::Start({folder.path, &recorder, "killed"});
    EXPECT_TRUE(machine.ok()) << machine.status();
    if (machine.ok()) {
      LookAtAll(**machine, recording.facts, ledger);
      AcceptOneMore(**machine, ledger);
      const absl::Status rests = testing::RunTask((*machine)->loop(), (*machine)->Drain());
      EXPECT_TRUE(rests.ok()) << rests;
      LookAtAll(**machine, recording.facts, ledger);
    }
  }
  Machine::UnregisterVfs("killed");
  return {recorder.Log(), ledger.facts()};
}

// Most of them where a file has just been made, renamed or written, and not synced yet.
std::vector<uint64_t> KillMoments(const Recording& recording, uint64_t how_many, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> names;
  std::vector<uint64_t> others;
  for (uint64_t i = 0; i < recording.log.size(); ++i) {
    const Operation::Kind kind = recording.log[i].kind;
    const bool name = kind == Operation::Kind::kCreate || kind == Operation::Kind::kRename;
    (name ? names : others).push_back(i + 1);
    // A segment is of use once its head is written, and safe only once its name is synced.
    if (name && recording.log[i].path.ends_with(".seg")) names.insert(names.end(), {i + 2, i + 3});
  }
  std::shuffle(names.begin(), names.end(), random);
  std::shuffle(others.begin(), others.end(), random);
  names.resize(std::min<uint64_t>(names.size(), how_many * 7 / 8));
  others.resize(std::min<uint64_t>(others.size(), how_many - names.size()));
  names.insert(names.end(), others.begin(), others.end());
  return names;
}

// The first power loss after a kill that breaks a promise, in words. `without`: the sync that the
// life after the kill leaves out.
std::string FirstWrongAfterKill(const Recording& recording, uint64_t replays, uint64_t seed,
                                std::string_view without = {}) {
  constexpr uint64_t kLosses = 8;
  std::mt19937_64 random(seed);
  for (const uint64_t count : KillMoments(recording, replays / kLosses, seed)) {
    file::SkipSyncForTest(without);
    const Recording killed = Killed(recording, count);
    file::SkipSyncForTest("");
    for (uint64_t i = 0; i < kLosses; ++i) {
      const PowerLoss loss = {
          i == 0 ? killed.log.size() : count + random() % (killed.log.size() - count + 1),
          i % 3 == 2 ? Unsynced::kMixed : Unsynced::kDropped, random()};
      const std::string what = WrongAfter(killed, loss);
      if (!what.empty())
        return base::StrCat(what, ", killed after ", count, ", power lost ",
                            Describe(killed, loss));
    }
  }
  return "";
}

TEST_F(PowerLossTest, AKillIsFollowedByAPowerLoss) {
  EXPECT_EQ(FirstWrongAfterKill(Record(seed_), replays_, seed_), "");
}

// What only a restart after a kill needs: to sync what it finds, before anyone relies on it.
TEST_F(PowerLossTest, LeavingOutASyncOfARestartBreaksAPromise) {
  if (!file::HasTestHooks()) GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS";
  const Recording recording = Record(seed_);
  for (const char* name :
       {"store.data", "segment.recovered", "segment.adopted.dir", "store.found.dir"}) {
    const std::string what =
        FirstWrongAfterKill(recording, std::max<uint64_t>(4 * replays_, 640), seed_, name);
    std::printf("without %s: %s\n", name, what.c_str());
    EXPECT_NE(what, "") << "without " << name;
  }
}

// The first power loss of at most `most` that breaks a promise, in words; empty when none does.
std::string FirstWrong(const Recording& recording, uint64_t seed, uint64_t most) {
  for (const PowerLoss& loss : Losses(recording, seed)) {
    if (most-- == 0) break;
    const std::string what = WrongAfter(recording, loss);
    if (!what.empty()) return base::StrCat(what, " ", Describe(recording, loss));
  }
  return "";
}

// Syncs whose absence no power loss can show here, and why.
const std::map<std::string, std::string>& Redundant() {
  static const auto* const kAll = new std::map<std::string, std::string>{
      {"directory.key.dir",
       "directory.dir follows, in the same directory, before anything is told"},
      {"directory.dir", "mail.dir or store.data follows before anything is answered"},
      {"mail.dir", "store.data follows before anything is answered"},
      {"store.data", "needed after a kill: LeavingOutASyncOfARestart…"},
      {"store.found.dir", "needed after a kill: LeavingOutASyncOfARestart…"},
      {"segment.recovered", "needed after a kill: LeavingOutASyncOfARestart…"},
      {"directory.journal", "used only while the database is made, before anything is answered"},
      {"mail.journal", "as directory.journal"},
      {"journal.id.dir", "journal.directory follows, in the same directory"},
      {"journal.removed", "for file systems that lose names out of order; replays keep the order"},
  };
  return *kAll;
}

TEST_F(PowerLossTest, LeavingOutAnySyncBreaksAPromise) {
  if (!file::HasTestHooks()) GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS";
  const std::set<std::string> names = file::SyncNames(Record(seed_).log);
  for (const std::string& name : names) {
    if (Redundant().contains(name)) continue;
    // Threads make every recording another one; some of them need the sync less than others.
    std::string what;
    for (uint64_t attempt = 0; what.empty() && attempt < 8; ++attempt) {
      file::SkipSyncForTest(name);
      const Recording recording = Record(seed_ + attempt);
      file::SkipSyncForTest("");
      what = FirstWrong(recording, seed_ + attempt, replays_);
    }
    std::printf("without %s: %s\n", name.c_str(), what.c_str());
    EXPECT_NE(what, "") << "without " << name;
  }
}

}  // namespace
}  // namespace posthorn::proof
