#include "lib/mail/smtp_command.h"

#include "lib/base/strings.h"
#include "lib/mail/smtp_parameters.h"
#include "lib/mail/utf8.h"

namespace posthorn::mail {
namespace {

constexpr std::string_view kUpperHex = "0123456789ABCDEF";

BadCommand Bad(std::string_view verb, std::string_view text) {
  return {verb, Reply(501, {5, 5, 4}, text)};
}

std::string_view TrimBlanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool HasControl(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) return true;
  return false;
}

// Domain or address literal; lenient also takes names with "_" and other words without blanks,
// which many clients send [RFC5321 4.1.4 forbids refusing them for being wrong names].
bool IsHello(std::string_view argument, Strictness strictness) {
  if (argument.empty() || argument.size() > kMaxDomain || HasControl(argument)) return false;
  if (IsAddressLiteral(argument) || IsDomain(argument, Utf8::kAllow)) return true;
  return strictness == Strictness::kLenient && argument.find(' ') == std::string_view::npos;
}

template <class Hello>
SmtpCommand ParseHello(std::string_view verb, std::string_view argument, Strictness strictness) {
  argument = TrimBlanks(argument);
  // EHLO and HELO differ only in what the server may offer afterwards.
  if (!IsHello(argument, strictness)) return Bad(verb, "Give your domain name or address literal");
  return Hello{argument};
}

template <class Command>
SmtpCommand ParseBare(std::string_view verb, std::string_view argument) {
  if (!TrimBlanks(argument).empty()) return Bad(verb, base::StrCat(verb, " takes no argument"));
  return Command{};
}

enum class PathRole { kReverse, kForward };

absl::StatusOr<Path> TakePath(std::string_view& rest, PathRole role, Utf8 utf8,
                              Strictness strictness) {
  if (strictness == Strictness::kLenient) {
    rest = TrimBlanks(rest);
    if (!rest.starts_with('<')) {  // FROM:joe@example.org
      const size_t end = rest.find(' ');
      absl::StatusOr<Path> path = ParseMailbox(rest.substr(0, end), utf8);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end);
      return path;
    }
  }
  return role == PathRole::kReverse ? ConsumeReversePath(rest, utf8)
                                    : ConsumeForwardPath(rest, utf8);
}

// Whether SMTPUTF8 stands behind the path; it decides what the path may hold.
Utf8 WantsUtf8(std::string_view argument) {
  for (const std::string_view word : base::Split(argument, ' '))
    if (base::EqualsIgnoreCase(word, "SMTPUTF8")) return Utf8::kAllow;
  return Utf8::kRefuse;
}

BadCommand BadPath(std::string_view verb, PathRole role, const absl::Status& status,
                   std::string_view argument, Utf8 utf8) {
  if (utf8 == Utf8::kRefuse && !IsAscii(argument))
    return {verb, Reply(553, {5, 6, 7}, "Address needs SMTPUTF8")};  // [RFC6531 3.5]
  const EnhancedCode code =
      role == PathRole::kReverse ? EnhancedCode{5, 1, 7} : EnhancedCode{5, 1, 3};
  return {verb, Reply(501, code, base::StrCat("Bad address: ", base::Message(status)))};
}

SmtpCommand ParseMail(std::string_view argument, const SmtpCommandOptions& options) {
  if (!base::StartsWithIgnoreCase(argument, "FROM:")) return Bad("MAIL", "Use MAIL FROM:<address>");
  std::string_view rest = argument.substr(5);
  const Utf8 utf8 = WantsUtf8(rest);
  const auto path = TakePath(rest, PathRole::kReverse, utf8, options.strictness);
  if (!path.ok()) return BadPath("MAIL", PathRole::kReverse, path.status(), argument, utf8);
  MailFrom mail;
  mail.reverse_path = *path;
  if (!rest.empty() && rest.front() != ' ') return Bad("MAIL", "Text behind the address");
  if (auto reply = internal::ReadMailParameters(rest, mail)) return BadCommand{"MAIL", *reply};
  return mail;
}

SmtpCommand ParseRcpt(std::string_view argument, const SmtpCommandOptions& options) {
  if (!base::StartsWithIgnoreCase(argument, "TO:")) return Bad("RCPT", "Use RCPT TO:<address>");
  std::string_view rest = argument.substr(3);
  const Utf8 utf8 = options.transaction_utf8;
  const auto path = TakePath(rest, PathRole::kForward, utf8, options.strictness);
  if (!path.ok()) return BadPath("RCPT", PathRole::kForward, path.status(), argument, utf8);
  RcptTo rcpt;
  rcpt.forward_path = *path;
  if (!rest.empty() && rest.front() != ' ') return Bad("RCPT", "Text behind the address");
  if (auto reply = internal::ReadRcptParameters(rest, rcpt)) return BadCommand{"RCPT", *reply};
  return rcpt;
}

// bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] [RFC3030 2]
SmtpCommand ParseBdat(std::string_view argument) {
  const std::vector<std::string_view> words = base::Split(TrimBlanks(argument), ' ');
  const auto size = base::ParseInt<uint64_t>(words[0]);
  const bool last = words.size() == 2 && base::EqualsIgnoreCase(words[1], "LAST");
  if (!size || words.size() > 2 || (words.size() == 2 && !last))
    return Bad("BDAT", "Use BDAT size [LAST]");
  return Bdat{*size, last};
}

// "AUTH" SP mechanism [SP initial-response] [RFC4954 4]
SmtpCommand ParseAuth(std::string_view argument) {
  argument = TrimBlanks(argument);
  const size_t blank = argument.find(' ');
  const std::string_view mechanism = argument.substr(0, blank);
  if (mechanism.empty() || mechanism.size() > 20 || HasControl(mechanism))
    return Bad("AUTH", "Use AUTH mechanism [initial-response]");
  Auth auth{base::Upper(mechanism), {}};
  if (blank == std::string_view::npos) return auth;
  const std::string_view initial = argument.substr(blank + 1);
  auth.initial = initial == "=" ? std::string() : base::UnBase64(initial);
  if (!auth.initial) return BadCommand{"AUTH", Reply(501, {5, 5, 2}, "Not base64")};
  return auth;
}

template <class Command>
SmtpCommand ParseText(std::string_view verb, std::string_view argument) {
  argument = TrimBlanks(argument);
  if (argument.empty()) return Bad(verb, "Argument missing");
  return Command{argument};
}

SmtpCommand ParseRare(std::string_view verb, std::string_view argument) {
  const auto is = [verb](std::string_view name) { return base::EqualsIgnoreCase(verb, name); };
  if (is("STARTTLS")) return ParseBare<StartTls>("STARTTLS", argument);
  if (is("AUTH")) return ParseAuth(argument);
  if (is("BDAT")) return ParseBdat(argument);
  if (is("VRFY")) return ParseText<Vrfy>("VRFY", argument);
  if (is("EXPN")) return ParseText<Expn>("EXPN", argument);
  if (is("ETRN")) return ParseText<Etrn>("ETRN", argument);
  if (is("HELP")) return Help{TrimBlanks(argument)};
  return UnknownCommand{verb};
}

}  // namespace

SmtpCommand ParseSmtpCommand(std::string_view line, const SmtpCommandOptions& options) {
  if (options.strictness == Strictness::kLenient) line = TrimBlanks(line);
  const size_t blank = line.find(' ');
  const std::string_view verb = line.substr(0, blank);
  const std::string_view argument =
      blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
  const auto is = [verb](std::string_view name) { return base::EqualsIgnoreCase(verb, name); };
  const std::string_view trimmed =
      options.strictness == Strictness::kLenient ? TrimBlanks(argument) : argument;
  if (is("MAIL")) return ParseMail(trimmed, options);
  if (is("RCPT")) return ParseRcpt(trimmed, options);
  if (is("DATA")) return ParseBare<DataCommand>("DATA", argument);
  if (is("EHLO")) return ParseHello<Ehlo>("EHLO", argument, options.strictness);
  if (is("HELO")) return ParseHello<Helo>("HELO", argument, options.strictness);
  if (is("LHLO")) return ParseHello<Lhlo>("LHLO", argument, options.strictness);
  if (is("RSET")) return ParseBare<Rset>("RSET", argument);
  if (is("QUIT")) return ParseBare<Quit>("QUIT", argument);
  if (is("NOOP")) return Noop{};  // its argument means nothing [RFC5321 4.1.1.9]
  return ParseRare(verb, argument);
}

std::optional<std::string> DecodeXtext(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c < 33 || c > 126 || c == '=') return {};
    if (c != '+') {
      out.push_back(c);
      continue;
    }
    if (i + 2 >= text.size()) return {};
    const size_t high = kUpperHex.find(text[i + 1]), low = kUpperHex.find(text[i + 2]);
    if (high == std::string_view::npos || low == std::string_view::npos) return {};
    // Control characters would end up in header fields of status notifications.
    if (high < 2 || (high == 7 && low == 15)) return {};
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::string EncodeXtext(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= 33 && c <= 126 && c != '+' && c != '=') {
      out.push_back(c);
    } else {
      out.push_back('+');
      out.push_back(kUpperHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kUpperHex[static_cast<unsigned char>(c) & 15]);
    }
  }
  return out;
}

}  // namespace posthorn::mail
