#include "imap-gateway/protocol/command_framer.h"

#include "imap-gateway/protocol/scanner.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

// True when `text` is "tag APPEND mailbox …" with the mailbox name complete: the literal that
// follows is a message.
bool IsMessageNext(std::string_view text) {
  Scanner scan(text);
  if (!scan.Atom().ok() || !scan.Eat(' ') || !scan.EatWord("APPEND") || !scan.Eat(' '))
    return false;
  return scan.Astring().ok();
}

}  // namespace

std::optional<LiteralMark> FindLiteralMark(std::string_view line) {
  if (line.empty() || line.back() != '}') return {};
  const size_t open = line.rfind('{');
  if (open == std::string_view::npos) return {};
  std::string_view digits = line.substr(open + 1, line.size() - open - 2);
  LiteralMark mark;
  if (digits.ends_with('+')) {
    mark.synchronizing = false;
    digits.remove_suffix(1);
  }
  for (const char c : digits)
    if (c < '0' || c > '9') return {};
  if (digits.empty()) return {};
  // A size that does not even fit a number is as good as infinite.
  mark.size = base::ParseInt<uint64_t>(digits).value_or(UINT64_MAX);
  return mark;
}

CommandFramer::Step CommandFramer::AddLine(std::string_view line) {
  text_.append(line);
  const std::optional<LiteralMark> mark = FindLiteralMark(line);
  if (!mark) return Step::kComplete;
  mark_ = *mark;
  if (IsMessageNext(text_)) return Step::kMessage;
  if (mark->size > max_command_ || text_.size() + mark->size > max_command_) return Step::kTooLarge;
  text_.append("\r\n");
  return Step::kLiteral;
}

}  // namespace posthorn::imap_gateway
