#pragma once

// SMTP replies [RFC5321 4.2] with enhanced status codes [RFC3463, RFC5248]. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::mail {

struct EnhancedCode {
  int status = 0;  // 2, 4 or 5; 0: none is written
  int subject = 0;
  int detail = 0;
  friend bool operator==(const EnhancedCode&, const EnhancedCode&) = default;
};

// "5.7.1" at the start of `text`, up to a blank or the end.
std::optional<EnhancedCode> ParseEnhancedCode(std::string_view text);
std::string FormatEnhancedCode(const EnhancedCode& code);

struct Reply {
  int code = 0;  // 200..599
  EnhancedCode enhanced;
  std::vector<std::string> lines;  // without codes; none is written as one empty line

  Reply() = default;
  Reply(int reply_code, EnhancedCode enhanced_code, std::string_view text);
  Reply(int reply_code, std::string_view text) : Reply(reply_code, {}, text) {}

  bool positive() const { return code >= 200 && code < 400; }
  bool transient() const { return code >= 400 && code < 500; }
  // All lines with blanks between, for logs and status notifications.
  std::string Text() const;
};

// "250-2.1.0 first\r\n250 2.1.0 last\r\n". Control characters become blanks; a line longer than
// 512 bytes is cut [RFC5321 4.5.3.1.5].
std::string Serialize(const Reply& reply);

// One line of a server's reply, without its line break.
struct ReplyLine {
  int code = 0;
  bool last = true;
  std::string_view text;  // behind the separator
};
std::optional<ReplyLine> ParseReplyLine(std::string_view line);

inline constexpr size_t kMaxReplyLines = 1000;

// Gathers a server's lines to a reply.
class ReplyBuilder {
 public:
  enum class State { kMore, kDone, kBroken };
  // After kDone take reply(); after kBroken (not a reply, codes that differ, more than
  // kMaxReplyLines) the connection is of no more use.
  State Add(std::string_view line);
  const Reply& reply() const { return reply_; }

 private:
  Reply reply_;
};

}  // namespace posthorn::mail
