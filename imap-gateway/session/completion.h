#pragma once

// How a command ended, and the one place where statuses become IMAP responses.

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace posthorn::imap_gateway {

struct Completion {
  enum class Kind {
    kOk,
    kNo,
    kBad,
    kBye,   // "* BYE text", then the connection ends
    kGone,  // the client does not read or is gone: nothing more can be said
    kNone,  // the handler has answered, or will (IDLE)
  };
  Kind kind = Kind::kOk;
  std::string text;  // with its response code in front: "[TRYCREATE] No such mailbox"

  static Completion Ok(std::string text) { return {Kind::kOk, std::move(text)}; }
  static Completion No(std::string text) { return {Kind::kNo, std::move(text)}; }
  static Completion Bad(std::string text) { return {Kind::kBad, std::move(text)}; }
  static Completion Bye(std::string text) { return {Kind::kBye, std::move(text)}; }
  static Completion Gone() { return {Kind::kGone, {}}; }
  static Completion None() { return {Kind::kNone, {}}; }
};

// What was tried, for codes that depend on it.
enum class Doing {
  kReading,      // SELECT, STATUS, FETCH, SEARCH …
  kCreating,     // CREATE
  kNaming,       // DELETE, RENAME, SUBSCRIBE
  kStoringInto,  // APPEND, COPY, MOVE: a missing target is [TRYCREATE]
  kFlagging,     // STORE
};

// The answer for a call that failed. Internal text goes to the log, never to the client.
Completion FromStatus(const absl::Status& status, Doing doing);
// The answer for arguments that did not parse.
Completion FromParse(const absl::Status& status);

}  // namespace posthorn::imap_gateway
