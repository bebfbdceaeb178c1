#include "lib/base/strings.h"
#include "lib/mail/address.h"

namespace posthorn::mail {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Reads one list from left to right, never going back, so its time is linear.
class ListReader {
 public:
  explicit ListReader(std::string_view text) : text_(text) {}

  std::vector<Address> Read() {
    while (at_ < text_.size() && out_.size() < kMaxAddresses) Step();
    Finish();
    if (in_group_) out_.push_back({.kind = AddressKind::kGroupEnd});
    return std::move(out_);
  }

 private:
  // What is known of the address now being read.
  struct Pending {
    std::string phrase;   // words with single blanks between
    std::string compact;  // the same without blanks: a local part with obsolete blanks
    std::string comment;  // the last comment: the name in "user@host (Name)"
    Address address;      // from "@" or "<" on
    bool angle = false;   // <...> was seen
    bool has_at = false;
    bool any = false;
  };

  void Step() {
    switch (text_[at_]) {
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        blank_ = true;
        ++at_;
        return;
      case '(':
        p_.comment = Comment();
        blank_ = true;
        return;
      case ',':
        ++at_;
        return Finish();
      case ';':
        ++at_;
        return EndGroup();
      case ':':
        ++at_;
        return BeginGroup();
      case '<':
        ++at_;
        return Angle();
      case '@':
        ++at_;
        return At();
      default:
        return Word();
    }
  }

  void Word() {
    std::string word;
    if (text_[at_] == '"') {
      word = Quoted();
    } else if (text_[at_] == '[') {
      word = Literal();
    } else {
      const size_t start = at_++;
      while (at_ < text_.size() && !IsBlank(text_[at_]) &&
             std::string_view("(),;:<@\"[").find(text_[at_]) == std::string_view::npos)
        ++at_;
      word = text_.substr(start, at_ - start);
    }
    p_.any = true;
    if (p_.angle) return;  // text behind <...>: nowhere to keep it
    if (p_.has_at) {
      p_.address.domain += word;
    } else {
      if (blank_ && !p_.phrase.empty()) p_.phrase += ' ';
      p_.phrase += word;
      p_.compact += word;
    }
    blank_ = false;
  }

  void At() {
    p_.any = true;
    if (p_.angle) return;
    if (p_.has_at) {  // a second "@": the first belongs to the local part
      base::StrAppend(p_.address.local, '@', p_.address.domain);
      p_.address.domain.clear();
      return;
    }
    p_.has_at = true;
    p_.address.local = std::move(p_.compact);
  }

  // angle-addr, also the obsolete one with a route [RFC5322 4.4].
  void Angle() {
    if (p_.has_at && !p_.angle) {  // "a@b <c@d>": the first was meant as a name
      p_.phrase = base::StrCat(p_.address.local, '@', p_.address.domain);
      p_.address = {};
    }
    p_.any = p_.angle = true;
    std::string local, domain;
    std::string* into = &local;
    while (at_ < text_.size() && text_[at_] != '>') {
      const char c = text_[at_];
      if (c == '(') {
        Comment();
      } else if (c == '"') {
        *into += Quoted();
      } else if (c == '[') {
        *into += Literal();
      } else if (c == ':' && local.empty()) {
        p_.address.route = base::StrCat('@', domain);
        domain.clear();
        into = &local;
        ++at_;
      } else if (c == '@' && into == &local) {
        into = &domain;
        ++at_;
      } else {
        if (!IsBlank(c)) into->push_back(c);
        ++at_;
      }
    }
    if (at_ < text_.size()) ++at_;
    p_.address.local = std::move(local);
    p_.address.domain = std::move(domain);
  }

  void BeginGroup() {
    if (in_group_ || p_.angle || p_.has_at) return;  // a stray colon
    in_group_ = true;
    out_.push_back({.kind = AddressKind::kGroupStart, .name = std::move(p_.phrase)});
    p_ = {};
  }

  void EndGroup() {
    Finish();
    if (!in_group_) return;
    in_group_ = false;
    out_.push_back({.kind = AddressKind::kGroupEnd});
  }

  void Finish() {
    if (p_.any) {
      Address& a = p_.address;
      if (p_.angle) {
        a.name = std::move(p_.phrase);
      } else if (!p_.has_at) {
        a.local = std::move(p_.phrase);
      }
      if (a.name.empty()) a.name = std::move(p_.comment);
      out_.push_back(std::move(a));
    }
    p_ = {};
    blank_ = false;
  }

  // Both read to the end of the text when not closed, and drop the line breaks of folding.
  std::string Quoted() {
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      if (text_[at_] != '\r' && text_[at_] != '\n') out.push_back(text_[at_]);
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }

  std::string Comment() {
    std::string out;
    size_t depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '(' && depth++ == 0) continue;
      if (c == ')' && --depth == 0) break;
      if (c == '\\' && at_ + 1 < text_.size()) ++at_;
      if (text_[at_] != '\r' && text_[at_] != '\n') out.push_back(text_[at_]);
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }

  std::string Literal() {
    std::string out;
    for (; at_ < text_.size() && text_[at_] != ']'; ++at_)
      if (!IsBlank(text_[at_])) out.push_back(text_[at_]);
    if (at_ < text_.size()) {
      ++at_;
      out.push_back(']');
    }
    return out;
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool blank_ = false;
  bool in_group_ = false;
  Pending p_;
  std::vector<Address> out_;
};

}  // namespace

std::vector<Address> ParseAddressList(std::string_view field) { return ListReader(field).Read(); }

}  // namespace posthorn::mail
