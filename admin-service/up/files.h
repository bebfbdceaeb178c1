#pragma once

// The file and process chores of the supervisor. Blocking, short.

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::up {

absl::Status MakeDirectory(const std::string& path);
// Written beside, synced, renamed.
absl::Status ReplaceFile(const std::string& path, const std::string& text, unsigned mode);
absl::StatusOr<std::string> ReadFile(const std::string& path);
// The lock of DIR/up.lock, with our pid in it; kFailedPrecondition names who holds it.
absl::StatusOr<int> LockDirectory(const std::string& dir);
// The directory this program lies in.
absl::StatusOr<std::string> OwnDirectory();
// Runs a program to its end, output thrown away; its exit code, -1 when it could not be run.
int RunProgram(const std::vector<std::string>& command);

std::string UserOfProcess(const std::string& process);
// All of posthorn-smtp … posthorn-admin, and the group posthorn.
bool UsersInstalled();
// Lets the processes' users make their sockets and data directories below `dir`.
absl::Status ShareDirectory(const std::string& dir);

}  // namespace posthorn::up
