#pragma once

// Every command with its law: where it may be used and what may be told after it ([RFC9051
// 6, 7.5.1]).

#include <cstdint>
#include <string_view>

#include "imap-gateway/session/session.h"

namespace posthorn::observe {
class Counter;
}

namespace posthorn::imap_gateway {

enum CommandState : uint8_t { kNotAuthenticated = 1, kAuthenticated = 2, kSelected = 4 };
enum CommandFlag : uint8_t {
  // [RFC9051 7.5.1] no EXPUNGE while these are answered: their sequence numbers would shift under
  // the client.
  kUsesSequenceNumbers = 1,
  // Refused in a mailbox opened with EXAMINE.
  kChangesMailbox = 2,
  // Nothing is told before its completion (LOGOUT, IDLE).
  kNoUpdates = 4,
};

using Handler = net::Task<Completion> (*)(Session& session, Input input);

struct CommandLaw {
  std::string_view name;
  uint8_t states;
  uint8_t flags;
  Handler handler;
};

// Null for a command we do not know.
const CommandLaw* FindLaw(std::string_view name);
// Counts it under its name; null counts as "other".
void CountCommand(const CommandLaw* law, double by = 1);
// How it ended: OK, NO, BAD, BYE; others are not counted.
void CountCompletion(const CommandLaw* law, Completion::Kind kind);

}  // namespace posthorn::imap_gateway
