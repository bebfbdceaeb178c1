// Any bytes: no crash, and the result does not depend on how much of what follows the header is
// seen.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/net/proxy_protocol.h"

using posthorn::net::ParseProxyHeader;
using posthorn::net::ProxyGuard;
using State = posthorn::net::ProxyHeader::State;

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  const auto whole = ParseProxyHeader(stream);
  // As the listener reads it: never more than what is missing.
  size_t given = 0;
  auto header = ParseProxyHeader({});
  while (header.state == State::kNeedMore && given < size) {
    Demand(header.missing > 0);
    given += header.missing < size - given ? header.missing : size - given;
    header = ParseProxyHeader(stream.substr(0, given));
  }
  Demand(size == 0 || header.state == whole.state);
  Demand(header.state != State::kDone || (header.size == given && whole.size == given));
  Demand(size == 0 || (header.source == whole.source && header.destination == whole.destination));
  ProxyGuard at_once;
  ProxyGuard by_byte;
  bool seen = false;
  for (size_t i = 0; i < size; ++i) seen = by_byte.Sees(stream.substr(i, 1)) || seen;
  Demand(at_once.Sees(stream) == seen);
  Demand(whole.state != State::kDone || seen);
  return 0;
}
