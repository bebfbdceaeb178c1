#pragma once

// The test "gtube": the agreed text that every spam filter must take for spam, so that operators
// can try theirs.

#include <memory>
#include <string>
#include <string_view>

#include "spam-service/engine/test.h"

namespace posthorn::spam_service {

inline constexpr double kGtubeScore = 1000;
inline constexpr std::string_view kGtube =
    "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

// Finds a text in a stream cut anywhere.
class StreamMatcher {
 public:
  explicit StreamMatcher(std::string_view text) : text_(text) {}
  // True once the text was seen.
  bool Feed(std::string_view chunk);

 private:
  const std::string_view text_;
  std::string tail_;  // the last bytes, fewer than the text has
  bool found_ = false;
};

std::shared_ptr<MessageTest> NewGtubeTest();

}  // namespace posthorn::spam_service
