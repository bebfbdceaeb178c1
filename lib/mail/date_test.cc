#include "lib/mail/date.h"

#include <gtest/gtest.h>

namespace posthorn::mail {
namespace {

// Any date's two numbers, or what tells that it was refused.
std::string Read(std::string_view text) {
  const auto date = ParseDate(text);
  if (!date) return "refused";
  return std::to_string(date->unix_seconds) + " " + std::to_string(date->zone_minutes);
}

// [RFC5322 3.3, 4.3] with the shapes of appendix A.
TEST(Date, ReadsCurrentAndObsoleteForms) {
  EXPECT_EQ(Read("Fri, 21 Nov 1997 09:55:06 -0600"), "880127706 -360");
  EXPECT_EQ(Read("21 Nov 97 09:55:06 GMT"), "880106106 0");
  EXPECT_EQ(Read("Thu,\r\n      13\r\n        Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland)"),
            "-27723480 -210");
  EXPECT_EQ(Read("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"), "880127706 -360");
  EXPECT_EQ(Read("21 Nov 1997 09:55 EST"), "880124100 -300");
  EXPECT_EQ(Read("21 Nov 1997 09:55:06"), "880106106 0");
  EXPECT_EQ(Read("21 Nov 49 00:00:00 Z"), "2521065600 0");
  EXPECT_EQ(Read("1 Jan 100 00:00:00 +0000"), "946684800 0");
  EXPECT_EQ(Read("Fri Nov 21 09:55:06 1997"), "880106106 0");
  EXPECT_EQ(Read("29 Feb 2024 12:00:60 +0000"), "1709208060 0");
}

TEST(Date, RefusesWhatIsNone) {
  for (const char* bad :
       {"", "Fri", "32 Jan 2020 00:00:00", "29 Feb 2023 00:00:00", "1 Foo 2020 00:00:00",
        "1 Jan 2020", "1 Jan 2020 24:00:00", "1 Jan 2020 00:60:00", "1 Jan 99999999999999 00:00",
        "((((", "1 Jan 2020 00:00:00 +0099", "0 Jan 2020 00:00:00"})
    EXPECT_EQ(Read(bad), "refused") << bad;
}

TEST(Date, WritesWhatItReads) {
  EXPECT_EQ(FormatDate({880127706, -360}), "Fri, 21 Nov 1997 09:55:06 -0600");
  EXPECT_EQ(FormatDate({0, 0}), "Thu, 1 Jan 1970 00:00:00 +0000");
  for (int64_t t = -3'000'000'000; t < 9'000'000'000; t += 86'399 * 97) {
    const Date date{t, static_cast<int>(t % 720)};
    ASSERT_EQ(ParseDate(FormatDate(date)), date) << t;
    ASSERT_EQ(ParseInternalDate(FormatInternalDate(date)), date) << t;
  }
}

// [RFC9051 9]
TEST(InternalDate, ReadsImapsForm) {
  EXPECT_EQ(ParseInternalDate(" 1-Jan-1970 01:00:00 +0100"), (Date{0, 60}));
  EXPECT_EQ(FormatInternalDate({0, 60}), "01-Jan-1970 01:00:00 +0100");
  EXPECT_EQ(ParseInternalDate("1-Jan-70 01:00:00 +0100"), std::nullopt);
  EXPECT_EQ(ParseInternalDate("1-Jan-1970 01:00:00 +0100 x"), std::nullopt);
  EXPECT_EQ(ParseImapDay("2-Jan-1970"), 1);
  EXPECT_EQ(ParseImapDay("30-Feb-1970"), std::nullopt);
}

}  // namespace
}  // namespace posthorn::mail
