#pragma once

// Passwords at rest. Pure functions; hashing takes about 45 ms of CPU and 19 MiB, so call it on a
// BlockingPool.

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::auth {

// Form in which passwords are hashed and compared: NFKC ([RFC4013 2.2], as SCRAM clients do). Bytes
// that are no UTF-8 stay as they are.
std::string PreparePassword(std::string_view password);

// Argon2id, 19 MiB, two passes, one lane, as a PHC string
// "$argon2id$v=19$m=19456,t=2,p=1$salt$hash". kInvalidArgument: empty, longer than 1,024 bytes or
// with NUL. kResourceExhausted: no memory.
absl::StatusOr<std::string> HashPassword(std::string_view password);

enum class PasswordMatch {
  kMatch,
  // Right, but kept in an old or weaker form: hash it anew.
  kMatchOldForm,
  kMismatch,
  // A form nobody here knows, or a damaged hash.
  kUnknownForm,
  // No memory; nothing is known about the password.
  kFailed,
};
// Compares in constant time.
PasswordMatch VerifyPassword(std::string_view hash, std::string_view password);

// True for text that VerifyPassword can compare with; such text is taken over as it is when a
// password is set.
bool IsPasswordHash(std::string_view text);

// Takes as long as VerifyPassword and never matches: for names that do not exist.
void VerifyNothing(std::string_view password);

}  // namespace posthorn::auth
