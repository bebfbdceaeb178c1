#pragma once

#include "lib/net/network.h"

namespace posthorn::spam_service {

// False for loopback, private, link-local, multicast and unspecified addresses [RFC6890]: no
// foreign list or record has anything to say about them. Pure.
bool IsPublicAddress(const net::Address& address);

}  // namespace posthorn::spam_service
