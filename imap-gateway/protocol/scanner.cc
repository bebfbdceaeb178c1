#include "imap-gateway/protocol/scanner.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr std::string_view kAtomSpecials = "(){ %*\"\\]";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool IsAtomChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f && kAtomSpecials.find(c) == std::string_view::npos;
}
bool IsAstringChar(char c) { return c == ']' || IsAtomChar(c); }

absl::Status Scanner::Fail(std::string_view expected) const {
  return base::Invalid(base::StrCat("expected ", expected, " at position ", at_));
}

bool Scanner::Eat(char c) {
  if (Peek() != c || AtEnd()) return false;
  ++at_;
  return true;
}

bool Scanner::EatWord(std::string_view word) {
  if (!base::StartsWithIgnoreCase(rest(), word)) return false;
  const size_t end = at_ + word.size();
  if (end < text_.size() && word.back() != '[' && IsAtomChar(text_[end])) return false;
  at_ = end;
  return true;
}

absl::Status Scanner::Space() { return Expect(' '); }

absl::Status Scanner::Expect(char c) {
  if (Eat(c)) return absl::OkStatus();
  return Fail(c == ' ' ? std::string_view("a space") : std::string_view(&c, 1));
}

absl::Status Scanner::End() const {
  // Some clients leave one space at the end of a line.
  if (AtEnd() || rest() == " ") return absl::OkStatus();
  return Fail("the end of the command");
}

absl::StatusOr<std::string_view> Scanner::Atom() {
  const std::string_view atom = TakeWhile(IsAtomChar);
  if (atom.empty()) return Fail("an atom");
  return atom;
}

absl::StatusOr<std::string> Scanner::Quoted() {
  std::string out;
  while (++at_ < text_.size()) {
    char c = text_[at_];
    if (c == '"') {
      ++at_;
      return out;
    }
    if (c == '\r' || c == '\n' || c == '\0') return Fail("a character inside quotes");
    if (c == '\\') {
      // quoted = DQUOTE *QUOTED-CHAR DQUOTE; only specials are quoted, but clients escape more.
      if (++at_ == text_.size()) break;
      c = text_[at_];
      if (c == '\r' || c == '\n' || c == '\0') return Fail("a character inside quotes");
    }
    out.push_back(c);
  }
  return Fail("a closing quote");
}

absl::StatusOr<std::string> Scanner::Literal() {
  ++at_;
  const std::string_view digits = TakeWhile(IsDigit);
  const std::optional<uint64_t> size = base::ParseInt<uint64_t>(digits);
  Eat('+');
  if (!size || !Eat('}') || !rest().starts_with("\r\n")) return Fail("a literal");
  at_ += 2;
  if (*size > text_.size() - at_) return Fail("the literal's bytes");
  std::string out(text_.substr(at_, *size));
  at_ += *size;
  // [RFC9051 4.3] NUL is for literal8 only.
  if (out.find('\0') != std::string::npos) return Fail("a literal without NUL");
  return out;
}

absl::StatusOr<std::string> Scanner::String() {
  if (Peek() == '"') return Quoted();
  if (Peek() == '{') return Literal();
  return Fail("a string");
}

absl::StatusOr<std::string> Scanner::Astring() {
  if (Peek() == '"' || Peek() == '{') return String();
  const std::string_view text = TakeWhile(IsAstringChar);
  if (text.empty()) return Fail("a string");
  return std::string(text);
}

absl::StatusOr<std::string> Scanner::ListMailbox() {
  if (Peek() == '"' || Peek() == '{') return String();
  const std::string_view text =
      TakeWhile([](char c) { return IsAstringChar(c) || c == '%' || c == '*'; });
  if (text.empty()) return Fail("a mailbox pattern");
  return std::string(text);
}

absl::StatusOr<std::optional<std::string>> Scanner::Nstring() {
  if (EatWord("NIL")) return std::optional<std::string>();
  ASSIGN_OR_RETURN(std::string text, String());
  return std::optional<std::string>(std::move(text));
}

absl::StatusOr<uint64_t> Scanner::Number64() {
  const std::string_view digits = TakeWhile(IsDigit);
  const std::optional<uint64_t> value = base::ParseInt<uint64_t>(digits);
  if (!value || *value > INT64_MAX) return Fail("a number");
  return *value;
}

absl::StatusOr<uint32_t> Scanner::Number() {
  ASSIGN_OR_RETURN(const uint64_t value, Number64());
  if (value > UINT32_MAX) return Fail("a smaller number");
  return static_cast<uint32_t>(value);
}

absl::StatusOr<uint32_t> Scanner::NzNumber() {
  ASSIGN_OR_RETURN(const uint32_t value, Number());
  if (value == 0) return Fail("a number above zero");
  return value;
}

absl::StatusOr<std::string> Scanner::Flag() {
  std::string flag;
  if (Eat('\\')) flag.push_back('\\');
  if (flag == "\\" && Eat('*')) return std::string("\\*");
  ASSIGN_OR_RETURN(const std::string_view atom, Atom());
  flag.append(atom);
  return flag;
}

absl::StatusOr<std::string_view> Scanner::SetText() {
  const std::string_view text =
      TakeWhile([](char c) { return IsDigit(c) || c == '*' || c == ':' || c == ','; });
  if (text.empty()) return Fail("a sequence set");
  return text;
}

}  // namespace posthorn::imap_gateway
