#pragma once

// A cursor over the text of one command, literals included as they came ("{3}" CRLF "abc"). Pure;
// never reads past the end, never throws. Methods are named after the ABNF of [RFC9051 9].

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::imap_gateway {

// atom = 1*ATOM-CHAR; bytes above 127 are let through, names are checked for UTF-8 later.
bool IsAtomChar(char c);
bool IsAstringChar(char c);

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool AtEnd() const { return at_ == text_.size(); }
  // '\0' at the end.
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  size_t offset() const { return at_; }
  std::string_view rest() const { return text_.substr(at_); }

  bool Eat(char c);
  // Takes `word` (any case) when it stands here and is not the beginning of a longer atom.
  bool EatWord(std::string_view word);

  absl::Status Space();
  absl::Status End() const;
  absl::Status Expect(char c);

  absl::StatusOr<std::string_view> Atom();
  // string = quoted / literal
  absl::StatusOr<std::string> String();
  absl::StatusOr<std::string> Astring();
  // nstring; nothing for NIL.
  absl::StatusOr<std::optional<std::string>> Nstring();
  absl::StatusOr<uint32_t> Number();
  absl::StatusOr<uint32_t> NzNumber();
  absl::StatusOr<uint64_t> Number64();
  // "\Seen" or "$Forwarded"
  absl::StatusOr<std::string> Flag();
  // 1*(digits / "*" / ":" / ",")
  absl::StatusOr<std::string_view> SetText();
  // list-mailbox: string, or 1*(ATOM-CHAR / "%" / "*" / "]")
  absl::StatusOr<std::string> ListMailbox();

  absl::Status Fail(std::string_view expected) const;

 private:
  absl::StatusOr<std::string> Quoted();
  absl::StatusOr<std::string> Literal();
  template <class Predicate>
  std::string_view TakeWhile(Predicate accepts) {
    const size_t from = at_;
    while (at_ < text_.size() && accepts(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace posthorn::imap_gateway
