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
// Of the seven users posthorn-smtp … posthorn-admin, those this machine lacks.
std::vector<std::string> MissingUsers();
// The command that makes them.
std::string MakeUsersCommand(const std::vector<std::string>& users);
// The first of the seven that cannot get as far as `dir` (a folder above it forbids); "" when all
// can. As root.
std::string WhoCannotEnter(const std::string& dir);
// As root: what of `dir` all may pass through, and the file into which admin-service writes the
// first password.
absl::Status ShareDirectory(const std::string& dir);

}  // namespace posthorn::up
