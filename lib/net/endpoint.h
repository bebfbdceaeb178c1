#pragma once

#include <cstdint>
#include <string>

namespace posthorn::net {

struct Endpoint {
  std::string address;  // "192.0.2.1", "2001:db8::1", without zone; v4-mapped addresses as v4
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

}  // namespace posthorn::net
