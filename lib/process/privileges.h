#pragma once

// Users and limits of a process. Linux.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::process {

// The user a process becomes under `posthorn up` when it is installed: "posthorn-smtp" for
// "smtp-gateway" …
std::string UserOf(const std::string& process);

// Makes `directory` (empty: none) for `user`, then becomes that user, with the primary groups of
// the users of `caller_roles` (so that it can hand each its socket), no new privileges, and no
// capability, or only CAP_NET_BIND_SERVICE. Call before any thread was started: capabilities belong
// to threads. Nothing happens for an empty `user`. kNotFound: no such user. kPermissionDenied: not
// root.
enum class LowPorts { kBinds, kNever };
absl::Status BecomeUser(const std::string& user, const std::string& directory,
                        const std::vector<std::string>& caller_roles, LowPorts ports);
// Lets the user of `role` use the socket file, when that user exists and we may.
void HandToRole(const std::string& socket_path, const std::string& role);

// Raises the limit on open files to the hard limit; returns what it is now.
uint64_t RaiseFileLimit();

}  // namespace posthorn::process
