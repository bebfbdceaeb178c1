#include "pop3-gateway/protocol/command.h"

#include "lib/base/strings.h"

namespace posthorn::pop3_gateway {
namespace {

enum class Arguments { kNone, kText, kAuth, kMessage, kOptionalMessage, kMessageAndLines };

struct Shape {
  std::string_view name;
  Verb verb;
  Arguments arguments;
};

constexpr Shape kShapes[] = {
    {"USER", Verb::kUser, Arguments::kText},        {"PASS", Verb::kPass, Arguments::kText},
    {"AUTH", Verb::kAuth, Arguments::kAuth},        {"CAPA", Verb::kCapa, Arguments::kNone},
    {"STLS", Verb::kStls, Arguments::kNone},        {"QUIT", Verb::kQuit, Arguments::kNone},
    {"STAT", Verb::kStat, Arguments::kNone},        {"LIST", Verb::kList, Arguments::kOptionalMessage},
    {"RETR", Verb::kRetr, Arguments::kMessage},     {"DELE", Verb::kDele, Arguments::kMessage},
    {"NOOP", Verb::kNoop, Arguments::kNone},        {"RSET", Verb::kRset, Arguments::kNone},
    {"TOP", Verb::kTop, Arguments::kMessageAndLines}, {"UIDL", Verb::kUidl, Arguments::kOptionalMessage}};

// The next word, and the rest behind the blank.
std::string_view NextWord(std::string_view& rest) {
  const size_t blank = rest.find(' ');
  const std::string_view word = rest.substr(0, blank);
  rest = blank == std::string_view::npos ? std::string_view() : rest.substr(blank + 1);
  return word;
}

absl::Status ParseNumbers(std::string_view rest, Arguments arguments, Command& command) {
  const std::string_view first = NextWord(rest);
  command.message = base::ParseInt<uint32_t>(first);
  if (!command.message || *command.message == 0) return base::Invalid("A message number is expected");
  if (arguments == Arguments::kMessageAndLines) {
    const std::optional<uint32_t> lines = base::ParseInt<uint32_t>(NextWord(rest));
    if (!lines) return base::Invalid("A number of lines is expected");
    command.lines = *lines;
  }
  return rest.empty() ? absl::OkStatus() : base::Invalid("Too many arguments");
}

}  // namespace

absl::StatusOr<Command> ParseCommand(std::string_view line) {
  // Blanks at the end are common and harmless, except in passwords.
  std::string_view rest = line;
  const std::string_view word = NextWord(rest);
  Command command;
  for (const Shape& shape : kShapes) {
    if (!base::EqualsIgnoreCase(word, shape.name)) continue;
    command.verb = shape.verb;
    if (shape.verb != Verb::kPass) rest = base::Trim(rest);
    switch (shape.arguments) {
      case Arguments::kNone:
        if (!rest.empty()) return base::Invalid("No arguments are expected");
        return command;
      case Arguments::kText:
        if (rest.empty()) return base::Invalid("An argument is expected");
        command.argument = rest;
        return command;
      case Arguments::kAuth:
        command.argument = NextWord(rest);
        command.initial = rest;
        return command;
      case Arguments::kOptionalMessage:
        if (rest.empty()) return command;
        [[fallthrough]];
      case Arguments::kMessage:
      case Arguments::kMessageAndLines:
        if (absl::Status status = ParseNumbers(rest, shape.arguments, command); !status.ok()) return status;
        return command;
    }
  }
  return command;
}

}  // namespace posthorn::pop3_gateway
