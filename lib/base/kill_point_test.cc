#include "lib/base/kill_point.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <new>

namespace posthorn::base {
namespace {

void PassPoints(const char* wanted) {
  ::setenv("POSTHORN_KILL_AT", wanted, 1);
  new (&internal::kill_at) internal::KillAt();  // as at the start of a process
  KILL_POINT("first");
  KILL_POINT("second");
  KILL_POINT("first");
  std::_Exit(7);
}

TEST(KillPointDeathTest, KillsAtTheNthPassingOfTheNamedPointOnly) {
  EXPECT_EXIT(PassPoints("second"), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassPoints("first:2"), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassPoints("first:3"), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(PassPoints("third"), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(PassPoints(""), ::testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace posthorn::base
