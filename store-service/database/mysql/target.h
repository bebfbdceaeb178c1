#pragma once

// The --database flag: mysql://USER@HOST[:PORT][,HOST2[:PORT]…]/NAME. No password in it: flags are
// seen by everybody on the machine.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::mysql {

struct Host {
  std::string name;  // without the brackets of an IPv6 address
  uint16_t port = 3306;
  friend bool operator==(const Host&, const Host&) = default;
};

struct Target {
  std::string user;
  std::vector<Host> hosts;  // tried in this order; at least one
  std::string database;
};

// kInvalidArgument says what is wrong.
absl::StatusOr<Target> ParseTarget(std::string_view url);
// host:port, for messages.
std::string ToString(const Host& host);
// USER@HOST:PORT,HOST2:PORT/NAME.
std::string ToString(const Target& target);

}  // namespace posthorn::mysql
