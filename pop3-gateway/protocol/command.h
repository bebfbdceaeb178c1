#pragma once

// POP3 command lines [RFC1939], with CAPA [RFC2449], STLS [RFC2595] and AUTH [RFC5034]. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::pop3_gateway {

enum class Verb {
  kUser, kPass, kAuth, kCapa, kStls, kQuit, kStat, kList, kRetr, kDele, kNoop, kRset, kTop, kUidl, kUnknown,
};

struct Command {
  Verb verb = Verb::kUnknown;
  std::string_view argument;        // USER, PASS (blanks belong to it), AUTH's mechanism
  std::string_view initial;         // AUTH's initial response, base64
  std::optional<uint32_t> message;  // LIST, RETR, DELE, TOP, UIDL: message number, from 1
  uint32_t lines = 0;               // TOP
};

// `line` without its CRLF; views point into it. kInvalidArgument with a text for the client when the arguments are
// wrong; an unknown verb is a command.
absl::StatusOr<Command> ParseCommand(std::string_view line);

}  // namespace posthorn::pop3_gateway
