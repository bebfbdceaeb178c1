#include "lib/mail/received.h"

#include "lib/base/strings.h"

namespace posthorn::mail {
namespace {

// What a client said must not end the field, open a comment or be folded.
std::string Clean(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool bad = static_cast<unsigned char>(c) <= 32 || c == 127 || c == '(' || c == ')' ||
                     c == '\\' || c == ';' || c == '"' || c == '<' || c == '>';
    out.push_back(bad ? '?' : c);
  }
  return out.empty() ? "unknown" : out;
}

std::string CleanComment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool bad =
        static_cast<unsigned char>(c) < 32 || c == 127 || c == '(' || c == ')' || c == '\\';
    out.push_back(bad ? '?' : c);
  }
  return out;
}

std::string CleanPath(std::string_view text) {
  std::string out;
  for (const char c : text) out.push_back(static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c);
  return out;
}

// Puts words behind each other, with a fold where a line would grow too long.
class Folder {
 public:
  explicit Folder(std::string_view name) : out_(name), line_(name.size()) {}
  void Add(std::string_view words) {
    constexpr size_t kLine = 78;
    if (line_ + 1 + words.size() > kLine && line_ > 1) {
      out_ += "\r\n ";
      line_ = 1;
      if (words.size() + 1 > kLine) return AddLong(words);
    } else {
      out_ += ' ';
      ++line_;
    }
    out_ += words;
    line_ += words.size();
  }
  std::string Done() && {
    out_ += "\r\n";
    return std::move(out_);
  }

 private:
  // Broken at its own blanks; what has none stays whole.
  void AddLong(std::string_view words) {
    const size_t blank = words.find(' ');
    if (blank == std::string_view::npos) {
      out_ += words;
      line_ += words.size();
      return;
    }
    out_ += words.substr(0, blank);
    line_ += blank;
    Add(words.substr(blank + 1));
  }

  std::string out_;
  size_t line_;
};

std::string AddressLiteral(std::string_view ip) {
  const std::string clean = Clean(ip);
  return base::StrCat('[', clean.find(':') == std::string::npos ? "" : "IPv6:", clean, ']');
}

}  // namespace

std::string WithProtocol(Greeting greeting, Encrypted encrypted, Authenticated authenticated,
                         Utf8 smtputf8) {
  std::string out;
  if (greeting == Greeting::kHelo) return "SMTP";
  if (smtputf8 == Utf8::kAllow) {
    out = greeting == Greeting::kLhlo ? "UTF8LMTP" : "UTF8SMTP";
  } else {
    out = greeting == Greeting::kLhlo ? "LMTP" : "ESMTP";
  }
  if (encrypted == Encrypted::kYes) out += 'S';
  if (authenticated == Authenticated::kYes) out += 'A';
  return out;
}

std::string BuildReceived(const ReceivedFields& fields) {
  Folder folder("Received:");
  if (!fields.ip.empty()) {
    folder.Add(base::StrCat("from ", Clean(fields.helo)));
    // TCP-info = address-literal / ( Domain FWS address-literal )
    if (fields.peer.empty()) {
      folder.Add(base::StrCat('(', AddressLiteral(fields.ip), ')'));
    } else {
      folder.Add(base::StrCat('(', Clean(fields.peer), ' ', AddressLiteral(fields.ip), ')'));
    }
  }
  folder.Add(base::StrCat("by ", Clean(fields.by)));
  folder.Add(base::StrCat("with ", Clean(fields.with)));
  if (!fields.tls.empty()) folder.Add(base::StrCat('(', CleanComment(fields.tls), ')'));
  std::string last = base::StrCat("id ", Clean(fields.id));
  if (!fields.for_path.empty()) {
    folder.Add(last);
    last = base::StrCat("for <", CleanPath(fields.for_path), '>');
  }
  folder.Add(last + ';');
  folder.Add(FormatDate(fields.date));
  return std::move(folder).Done();
}

std::string BuildReturnPath(const Path& reverse_path) {
  return base::StrCat("Return-Path: <", CleanPath(reverse_path.Address()), ">\r\n");
}

}  // namespace posthorn::mail
