#pragma once

// A listening socket whose accepted connections are recognised by the number of their descriptor:
// gRPC reports such a connection's peer as "fd:N". Each listener has a range of numbers of its own,
// so a number never changes its meaning when it is used again. A unix socket's file has a mode; a
// TCP port lets in whoever reaches it.

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::rpc {

// Connections of one listener at a time.
inline constexpr int kDescriptorsOfAListener = 128;

class RoleListener {
 public:
  // Binds `path` and removes a file there that nobody listens on; kUnavailable when somebody does.
  // Accepted descriptors (non-blocking, close-on-exec) lie in [first, first +
  // kDescriptorsOfAListener).
  static absl::StatusOr<std::unique_ptr<RoleListener>> Bind(net::Loop& loop, std::string path,
                                                            uint32_t mode, int first);
  // `address` is host:port, "[::1]:port" or ":port" for all addresses; `port` gets the number that
  // was bound. Looks names up, blocking.
  static absl::StatusOr<std::unique_ptr<RoleListener>> BindTcp(net::Loop& loop, std::string address,
                                                               int first, int& port);
  // Removes the socket's file.
  virtual ~RoleListener() = default;
  // `accepted` owns the descriptor it is given.
  virtual void Listen(std::function<void(int)> accepted) = 0;
};

// The first number of the range of listener `index` out of `count`: at the upper end of what this
// process may open.
int FirstDescriptor(size_t index, size_t count);

}  // namespace posthorn::rpc
