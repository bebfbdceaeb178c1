// [deep-structures 15] Power losses of a whole machine: store and queue together.
//
// A run under load is recorded once; then many prefixes of the recording become the disk of another
// machine, which must hold everything that had been answered by then.
//   POSTHORN_PROOF_REPLAYS=n   how many power losses are tried
//   POSTHORN_PROOF_SEED=n      another run

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/observe/log.h"
#include "tests/proof/moments.h"
#include "tests/proof/recording.h"

namespace posthorn::proof {
namespace {

using file::PowerLoss;
using file::Unsynced;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define POSTHORN_PROOF_SLOW 1
#endif
#endif
#if defined(POSTHORN_PROOF_SLOW)
constexpr bool kSlow = true;
constexpr uint64_t kReplays = 64;
#else
constexpr bool kSlow = false;
constexpr uint64_t kReplays = 160;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : base::ParseInt<uint64_t>(text).value_or(otherwise);
}

class PowerLossTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Each replay starts a machine, and each start says so.
    observe::SetUpLog("proof", observe::Level::kWarning);
    ASSERT_TRUE(SetUpReplays().ok());
  }
  static void TearDownTestSuite() { TearDownReplays(); }
  const uint64_t seed_ = FromEnvironment("POSTHORN_PROOF_SEED", 1);
  const uint64_t replays_ = FromEnvironment("POSTHORN_PROOF_REPLAYS", kReplays);
};

TEST_F(PowerLossTest, EverythingAnsweredIsThereOnceAfterAnyPrefix) {
  const auto recording = Record(seed_);
  ASSERT_TRUE(recording.ok()) << recording.status();
  std::vector<PowerLoss> losses = Losses(recording->log, seed_);
  losses.resize(std::min<uint64_t>(losses.size(), replays_));
  EXPECT_EQ(FirstWrong(*recording, losses), "");
  std::printf("%zu operations, %zu facts, %zu power losses\n", recording->log.size(),
              recording->facts.size(), losses.size());
}

// Some at the end of the life after the kill, some within it.
std::vector<PowerLoss> LossesAfterKill(const Recording& killed, uint64_t count, uint64_t seed) {
  std::mt19937_64 random(seed + count);
  std::vector<PowerLoss> losses = {{killed.log.size(), Unsynced::kDropped, 0}};
  for (int i = 1; i < 8; ++i) {
    losses.push_back({count + random() % (killed.log.size() - count + 1),
                      i % 3 == 2 ? Unsynced::kMixed : Unsynced::kDropped, random()});
  }
  return losses;
}

TEST_F(PowerLossTest, AKillIsFollowedByAPowerLoss) {
  const auto recording = Record(seed_);
  ASSERT_TRUE(recording.ok()) << recording.status();
  for (const uint64_t count : KillMoments(recording->log, replays_ / 8, seed_)) {
    const auto killed = Killed(*recording, count);
    ASSERT_TRUE(killed.ok()) << killed.status() << ", killed after " << count;
    ASSERT_EQ(FirstWrong(*killed, LossesAfterKill(*killed, count, seed_)), "")
        << "killed after " << count;
  }
}

// Syncs whose absence no power loss can show here, and why.
const std::map<std::string, std::string>& Redundant() {
  static const auto* const kAll = new std::map<std::string, std::string>{
      {"directory.key.dir",
       "directory.dir follows, in the same directory, before anything is told"},
      {"directory.dir", "mail.dir or store.data follows before anything is answered"},
      {"mail.dir", "store.data follows before anything is answered"},
      {"directory.journal", "used only while the database is made, before anything is answered"},
      {"mail.journal", "as directory.journal"},
      {"journal.id.dir", "journal.directory follows, in the same directory"},
      {"journal.removed", "for file systems that lose names out of order; replays keep the order"},
  };
  return *kAll;
}

// Leaves out each sync in turn, until a promise is broken.
class Sweep {
 public:
  Sweep(uint64_t seed, uint64_t most) : seed_(seed), most_(most) {}

  // Of all that `recording` does from operation `from` on.
  void Try(const Recording& recording, uint64_t from, const std::string& which) {
    for (const std::string& name : file::SyncNames(recording.log)) {
      if (!Redundant().contains(name) && !shown_.contains(name)) missing_.insert(name);
    }
    for (auto at = missing_.begin(); at != missing_.end();) {
      const std::string what = FirstWrong(Without(recording, *at, from),
                                          LossesWithout(recording.log, *at, from, most_, seed_));
      if (what.empty()) {
        ++at;
        continue;
      }
      std::printf("without %s: %s, %s\n", at->c_str(), what.c_str(), which.c_str());
      shown_.insert(*at);
      at = missing_.erase(at);
    }
  }
  // No power loss has shown yet that these are needed.
  const std::set<std::string>& missing() const { return missing_; }

 private:
  const uint64_t seed_;
  const uint64_t most_;
  std::set<std::string> missing_;
  std::set<std::string> shown_;
};

// Some syncs are needed only by what a restart after a kill finds, before anyone relies on it.
TEST_F(PowerLossTest, LeavingOutAnySyncBreaksAPromise) {
  if (kSlow) GTEST_SKIP() << "needs no test hooks: the release build runs it";
  Sweep sweep(seed_, 24);
  uint64_t kills = 0;
  for (uint64_t attempt = 0; attempt < 4; ++attempt) {
    const auto recording = Record(seed_ + attempt);
    ASSERT_TRUE(recording.ok()) << recording.status();
    sweep.Try(*recording, 0, base::StrCat("recording ", attempt));
    for (const uint64_t count : KillMoments(recording->log, replays_, seed_)) {
      if (sweep.missing().empty()) break;
      const auto killed = Killed(*recording, count);
      ASSERT_TRUE(killed.ok()) << killed.status() << ", killed after " << count;
      sweep.Try(*killed, count, base::StrCat("killed after ", count));
      ++kills;
    }
  }
  EXPECT_EQ(sweep.missing(), std::set<std::string>());
  std::printf("%llu kills\n", static_cast<unsigned long long>(kills));
}

// The build itself, with a sync left out, is what Without() says it is.
TEST_F(PowerLossTest, ABuildWithoutASyncBreaksAPromise) {
  if (!file::HasTestHooks())
    GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  for (const char* name : {"segment.commit", "journal.batch"}) {
    file::SkipSyncForTest(name);
    const auto recording = Record(seed_);
    file::SkipSyncForTest("");
    ASSERT_TRUE(recording.ok()) << recording.status();
    EXPECT_FALSE(file::SyncNames(recording->log).contains(name));
    EXPECT_NE(FirstWrong(*recording, Losses(recording->log, seed_)), "") << "without " << name;
  }
}

}  // namespace
}  // namespace posthorn::proof
