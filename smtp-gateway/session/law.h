#pragma once

// Which command is allowed when: one row for each alternative of mail::SmtpCommand, in its order. A verb without a row
// does not compile; a handler begins where its row is satisfied.

#include <iterator>
#include <string_view>
#include <variant>

#include "lib/mail/smtp_command.h"

namespace posthorn::smtp_gateway {

enum LawFlag : unsigned {
  kNeedsGreeting = 1,     // EHLO, HELO or LHLO came before [RFC5321 4.1.4]
  kNeedsTransaction = 2,  // MAIL was accepted
  kNeedsRecipient = 4,    // so was some RCPT
  kNoTransaction = 8,     // none may be open
  kBeforeTls = 16,        // allowed on ports that demand TLS [RFC3207 4]
  kNeedsLogin = 32,       // on submission ports [RFC6409 4.3]
  // Nothing may be pipelined behind it [RFC2920 3.1]. EHLO and AUTH end a group too, but mending what follows them is
  // harmless; content sent before 354 or commands before the handshake are how smuggling and injection look.
  kEndsGroup = 64,
  kJunk = 128,            // counts against the budget of commands that bring nothing forward
  kSmtpOnly = 256,        // not in LMTP [RFC2033 4.1]
  kLmtpOnly = 512,
};

struct VerbLaw {
  std::string_view verb;
  unsigned flags;
};

inline constexpr VerbLaw kLaw[] = {
    {"EHLO", kBeforeTls | kJunk | kSmtpOnly},
    {"HELO", kBeforeTls | kJunk | kSmtpOnly},
    {"LHLO", kBeforeTls | kJunk | kLmtpOnly},
    {"MAIL", kNeedsGreeting | kNeedsLogin | kNoTransaction},
    {"RCPT", kNeedsGreeting | kNeedsLogin | kNeedsTransaction},
    {"DATA", kNeedsGreeting | kNeedsLogin | kNeedsTransaction | kNeedsRecipient | kEndsGroup},
    {"BDAT", kNeedsGreeting | kNeedsLogin},
    {"RSET", kJunk},
    {"NOOP", kBeforeTls | kJunk},
    {"QUIT", kBeforeTls},
    {"VRFY", kNeedsGreeting | kNeedsLogin | kJunk},
    {"EXPN", kNeedsGreeting | kNeedsLogin | kJunk},
    {"HELP", kJunk},
    {"STARTTLS", kNeedsGreeting | kNoTransaction | kBeforeTls | kEndsGroup | kJunk},
    {"AUTH", kNeedsGreeting | kNoTransaction | kJunk},
    {"ETRN", kNeedsGreeting | kNeedsLogin | kJunk},
    {"other", kBeforeTls | kJunk},  // UnknownCommand
    {"other", kBeforeTls | kJunk},  // BadCommand: its own reply says what is wrong
};
static_assert(std::size(kLaw) == std::variant_size_v<mail::SmtpCommand>);

}  // namespace posthorn::smtp_gateway
