#pragma once

// SMTP command lines [RFC5321 4.1] and what extensions add: SIZE [RFC1870], 8BITMIME [RFC6152],
// SMTPUTF8 [RFC6531], DSN [RFC3461], AUTH [RFC4954], CHUNKING [RFC3030], LMTP [RFC2033].
// Pure: whether a command is allowed now, and which extensions were offered, the session decides.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/mail/address.h"
#include "lib/mail/smtp_reply.h"

namespace posthorn::mail {

// kLenient takes what widespread clients write against the standard: blanks after "FROM:" and
// "TO:", around the path and behind the line, and an address without "<" ">".
enum class Strictness { kStrict, kLenient };

struct SmtpParameter {
  std::string keyword;  // upper case
  std::optional<std::string> value;
};

enum class BodyType { kUnset, k7Bit, k8BitMime, kBinaryMime };
enum class DsnReturn { kUnset, kFull, kHeaders };

struct Ehlo {
  std::string_view domain;
};  // a domain or address literal, or any word when lenient
struct Helo {
  std::string_view domain;
};
struct Lhlo {
  std::string_view domain;
};
struct MailFrom {
  Path reverse_path;
  std::optional<uint64_t> size;  // SIZE=, bytes
  BodyType body = BodyType::kUnset;
  bool smtputf8 = false;
  std::optional<std::string> auth;  // AUTH=, xtext decoded; "<>" as written
  DsnReturn ret = DsnReturn::kUnset;
  std::optional<std::string> envid;    // xtext decoded
  std::vector<SmtpParameter> unknown;  // the session answers 555 [RFC5321 4.1.1.11]
};
struct RcptTo {
  Path forward_path;
  bool notify_never = false, notify_success = false, notify_failure = false,
       notify_delay = false;         // NOTIFY=; all false: not given
  std::optional<std::string> orcpt;  // "rfc822;" and the decoded address
  std::vector<SmtpParameter> unknown;
};
struct DataCommand {};
struct Bdat {
  uint64_t size = 0;
  bool last = false;
};
struct Rset {};
struct Noop {};
struct Quit {};
struct Vrfy {
  std::string_view argument;
};
struct Expn {
  std::string_view argument;
};
struct Help {
  std::string_view argument;
};
struct StartTls {};
struct Auth {
  std::string mechanism;               // upper case
  std::optional<std::string> initial;  // base64 decoded; "=" gives an empty one
};
struct Etrn {
  std::string_view argument;
};
struct UnknownCommand {
  std::string_view verb;
};
// The verb is known, its arguments are not right.
struct BadCommand {
  std::string_view verb;  // upper case
  Reply reply;            // 501 or 555 with the enhanced code that suits
};

using SmtpCommand =
    std::variant<Ehlo, Helo, Lhlo, MailFrom, RcptTo, DataCommand, Bdat, Rset, Noop, Quit, Vrfy,
                 Expn, Help, StartTls, Auth, Etrn, UnknownCommand, BadCommand>;

struct SmtpCommandOptions {
  Strictness strictness = Strictness::kStrict;
  // In MAIL, UTF-8 in the path needs the SMTPUTF8 parameter on the same line; RCPT and VRFY are
  // told here that the transaction has it [RFC6531 3.4].
  Utf8 transaction_utf8 = Utf8::kRefuse;
};

// `line` without its CRLF; views in the result point into it.
SmtpCommand ParseSmtpCommand(std::string_view line, const SmtpCommandOptions& options);

// xtext = *( xchar / hexchar ) [RFC3461 4]; decoding gives nothing on a syntax
// error or when a control character comes out.
std::optional<std::string> DecodeXtext(std::string_view text);
std::string EncodeXtext(std::string_view text);

}  // namespace posthorn::mail
