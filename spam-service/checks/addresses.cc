#include "spam-service/checks/addresses.h"

namespace posthorn::spam_service {

bool IsPublicAddress(const net::Address& address) {
  const auto& b = address.bytes;
  if (address.is_v4) {
    const bool special = b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 ||
                         (b[0] == 169 && b[1] == 254) || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
                         (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64);
    return !special;
  }
  bool small = true;  // :: and ::1
  for (size_t i = 0; i < 15; ++i) small = small && b[i] == 0;
  if (small && b[15] <= 1) return false;
  const bool unique_local = (b[0] & 0xfe) == 0xfc;
  const bool link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
  return !unique_local && !link_local && b[0] != 0xff;
}

}  // namespace posthorn::spam_service
