#include "lib/base/kill_point.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace posthorn::base {
namespace {

#if defined(POSTHORN_TEST_HOOKS)
void PassPoints(const char* wanted) {
  ::setenv("POSTHORN_KILL_AT", wanted, 1);
  KILL_POINT("first");
  KILL_POINT("second");
  KILL_POINT("first");
  std::_Exit(7);
}

TEST(KillPointDeathTest, KillsAtTheNthPassingOfTheNamedPointOnly) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(PassPoints("second"), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassPoints("first:2"), ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassPoints("first:3"), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(PassPoints("third"), ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(PassPoints(""), ::testing::ExitedWithCode(7), "");
}
#endif

}  // namespace
}  // namespace posthorn::base
