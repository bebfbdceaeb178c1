#pragma once

// Puts one command together from lines and literals. Pure: the session does the reading. Bounded: a
// command that grows beyond its limit is refused before more of it is read.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::imap_gateway {

// "{310}" or "{310+}" at the end of a line.
struct LiteralMark {
  uint64_t size = 0;
  bool synchronizing = true;  // the client waits for "+" ([RFC7888] otherwise)
};

// The mark at the end of `line`, if there is one.
std::optional<LiteralMark> FindLiteralMark(std::string_view line);

class CommandFramer {
 public:
  enum class Step {
    kComplete,  // text() is a whole command
    kLiteral,   // mark() says what to read next; give it to AddLiteral, then go on with AddLine
    kMessage,   // text() is an APPEND up to its message's mark; the message itself is the command's
                // business
    kTooLarge,  // mark() names a literal that does not fit
  };

  explicit CommandFramer(size_t max_command) : max_command_(max_command) {}
  Step AddLine(std::string_view line);
  void AddLiteral(std::string_view bytes) { text_.append(bytes); }
  std::string_view text() const { return text_; }
  const LiteralMark& mark() const { return mark_; }

 private:
  size_t max_command_;
  std::string text_;
  LiteralMark mark_;
};

}  // namespace posthorn::imap_gateway
