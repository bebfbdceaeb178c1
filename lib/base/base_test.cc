#include <gtest/gtest.h>

#include "lib/base/crc32c.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"

namespace posthorn::base {
namespace {

TEST(MessageId, TextFormRoundTripsAndSortsByTime) {
  const MessageId first = MessageId::New();
  EXPECT_EQ(MessageId::Parse(first.ToString()), first);
  EXPECT_EQ(MessageId::Parse(Lower(first.ToString())), first);
  EXPECT_EQ(first.ToString().size(), 26U);
  EXPECT_FALSE(MessageId::Parse("not an id").has_value());
  EXPECT_FALSE(MessageId::Parse("ZZZZZZZZZZZZZZZZZZZZZZZZZZ").has_value());
}

TEST(MessageId, DerivedIdsRepeat) {
  const MessageId parent = MessageId::New();
  EXPECT_EQ(MessageId::Derive(parent, "dsn"), MessageId::Derive(parent, "dsn"));
  EXPECT_NE(MessageId::Derive(parent, "dsn"), MessageId::Derive(parent, "forward"));
  EXPECT_EQ(MessageId::Derive(parent, "dsn").millis(), parent.millis());
}

TEST(Crc32c, KnownVectors) {  // [RFC3720 B.4]
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), 0xE3069283U);
}

TEST(Strings, Base64) {  // [RFC4648 10]
  for (const auto& [plain, coded] : {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
                                     {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    EXPECT_EQ(Base64(plain), coded);
    EXPECT_EQ(UnBase64(coded), plain);
  }
  EXPECT_FALSE(UnBase64("Zg=").has_value());
  EXPECT_FALSE(UnBase64("Z===").has_value());
  EXPECT_FALSE(UnBase64("Zm9v\n").has_value());
}

TEST(Strings, NumbersAreWhole) {
  EXPECT_EQ(ParseInt<uint32_t>("4294967295"), 4294967295U);
  EXPECT_FALSE(ParseInt<uint32_t>("4294967296").has_value());
  EXPECT_FALSE(ParseInt<int>("12 ").has_value());
  EXPECT_FALSE(ParseInt<int>("").has_value());
}

TEST(Strings, SplitKeepsEmptyFields) {
  EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(Trim(" \tx y\r\n"), "x y");
}

TEST(Status, AnAnnotatedOneStillSaysWhatItSaidBesides) {
  absl::Status status = Aborted("deadlock");
  status.SetPayload("posthorn.test/again", absl::Cord("1"));
  const absl::Status annotated = Annotate(status, "step 1");
  EXPECT_EQ(Message(annotated), "step 1: deadlock");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(annotated.GetPayload("posthorn.test/again"), absl::Cord("1"));
}

}  // namespace
}  // namespace posthorn::base
