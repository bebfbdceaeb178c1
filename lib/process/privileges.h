#pragma once

// Users, files and limits of a process. Linux.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::process {

// The user a process becomes under `posthorn up` when it is installed: "posthorn-smtp" for
// "smtp-gateway" …
std::string UserOf(const std::string& process);

// The folder in which a service's socket for one role lies. With users, it is the service's own and
// its group is that of the role's user, so nobody else gets near the socket; nobody but the service
// can put one there.
std::string SocketDirectory(const std::string& run, const std::string& word,
                            const std::string& role);
// Makes `directory`, a SocketDirectory, for callers of `role`. As root with a `user` both become its
// owners as said; a role without a user of its own ("cli") is root's. Else it is ours alone.
absl::Status MakeSocketDirectory(const std::string& directory, const std::string& user,
                                 const std::string& role);

// Makes `directory` (empty: none) for `user`, or gives it to that user with all that is in it when
// it was somebody else's; then becomes that user, with its own group only, no new privileges, and
// no capability, or only CAP_NET_BIND_SERVICE. Call before any thread was started: capabilities
// belong to threads. Nothing happens for an empty `user`. kNotFound: no such user.
// kPermissionDenied: not root.
enum class LowPorts { kBinds, kNever };
absl::Status BecomeUser(const std::string& user, const std::string& directory, LowPorts ports);

// Raises the limit on open files to the hard limit; returns what it is now.
uint64_t RaiseFileLimit();

}  // namespace posthorn::process
