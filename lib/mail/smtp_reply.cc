#include "lib/mail/smtp_reply.h"

#include "lib/base/strings.h"

namespace posthorn::mail {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendLine(const Reply& reply, std::string_view text, char separator, std::string& out) {
  constexpr size_t kMaxLine = 510;
  const size_t start = out.size();
  base::StrAppend(out, reply.code, separator);
  if (reply.enhanced.status != 0) base::StrAppend(out, FormatEnhancedCode(reply.enhanced), ' ');
  for (const char c : text) {
    if (out.size() - start >= kMaxLine) break;
    out.push_back(static_cast<unsigned char>(c) < 32 || c == 127 ? ' ' : c);
  }
  out += "\r\n";
}

}  // namespace

std::optional<EnhancedCode> ParseEnhancedCode(std::string_view text) {
  const std::string_view word = text.substr(0, text.find(' '));
  const std::vector<std::string_view> parts = base::Split(word, '.');
  if (parts.size() != 3 || parts[0].size() != 1) return {};
  const auto status = base::ParseInt<int>(parts[0]);
  const auto subject = base::ParseInt<int>(parts[1]);
  const auto detail = base::ParseInt<int>(parts[2]);
  if (!status || !subject || !detail) return {};
  if ((*status != 2 && *status != 4 && *status != 5) || *subject < 0 || *subject > 999 ||
      *detail < 0 || *detail > 999)
    return {};
  return EnhancedCode{*status, *subject, *detail};
}

std::string FormatEnhancedCode(const EnhancedCode& code) {
  return base::StrCat(code.status, '.', code.subject, '.', code.detail);
}

Reply::Reply(int reply_code, EnhancedCode enhanced_code, std::string_view text)
    : code(reply_code), enhanced(enhanced_code) {
  lines.emplace_back(text);
}

std::string Reply::Text() const { return base::Join(lines, " "); }

std::string Serialize(const Reply& reply) {
  std::string out;
  if (reply.lines.empty()) AppendLine(reply, "", ' ', out);
  for (size_t i = 0; i < reply.lines.size(); ++i)
    AppendLine(reply, reply.lines[i], i + 1 < reply.lines.size() ? '-' : ' ', out);
  return out;
}

std::optional<ReplyLine> ParseReplyLine(std::string_view line) {
  if (line.size() < 3 || !IsDigit(line[0]) || !IsDigit(line[1]) || !IsDigit(line[2])) return {};
  if (line.size() > 3 && line[3] != ' ' && line[3] != '-') return {};
  ReplyLine out;
  out.code = *base::ParseInt<int>(line.substr(0, 3));
  if (out.code < 200 || out.code > 599) return {};
  out.last = line.size() == 3 || line[3] == ' ';
  if (line.size() > 4) out.text = line.substr(4);
  return out;
}

ReplyBuilder::State ReplyBuilder::Add(std::string_view line) {
  const std::optional<ReplyLine> read = ParseReplyLine(line);
  if (!read || (reply_.code != 0 && read->code != reply_.code)) return State::kBroken;
  if (reply_.lines.size() >= kMaxReplyLines) return State::kBroken;
  std::string_view text = read->text;
  if (const auto enhanced = ParseEnhancedCode(text); enhanced &&
                                                     enhanced->status * 100 <= read->code &&
                                                     read->code < enhanced->status * 100 + 100) {
    reply_.enhanced = *enhanced;
    const size_t blank = text.find(' ');
    text = blank == std::string_view::npos ? std::string_view() : text.substr(blank + 1);
  }
  reply_.code = read->code;
  reply_.lines.emplace_back(text);
  return read->last ? State::kDone : State::kMore;
}

}  // namespace posthorn::mail
