#pragma once

// The PROXY protocol, versions 1 and 2, as HAProxy's specification describes it. Pure.

#include <cstddef>
#include <string_view>

#include "lib/net/endpoint.h"

namespace posthorn::net {

struct ProxyHeader {
  enum class State { kNeedMore, kBad, kDone };
  State state = State::kBad;
  // kNeedMore: at least so many bytes are missing. Reading no more than these never takes a byte of
  // what follows the header, which may be a TLS handshake.
  size_t missing = 0;
  size_t size = 0;  // kDone: of the header
  // kDone: empty addresses mean that those of the socket count (LOCAL, UNKNOWN, no TCP).
  Endpoint source;
  Endpoint destination;
};

// Looks at the beginning of a connection.
ProxyHeader ParseProxyHeader(std::string_view bytes);

// Recognises a header in the first bytes of a connection, however they are cut up.
class ProxyGuard {
 public:
  // True once the stream has begun with "PROXY " or the signature of version 2.
  bool Sees(std::string_view bytes);

 private:
  unsigned char position_ = 0;
  bool may_be_v1_ = true;
  bool may_be_v2_ = true;
};

}  // namespace posthorn::net
