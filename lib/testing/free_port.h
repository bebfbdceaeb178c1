#pragma once

namespace posthorn::testing {

// A port of 127.0.0.1, free for TCP and UDP, for another program to listen on. Nobody else gets it
// before this process ends: it lies below those that the kernel gives to outgoing connections and
// to who binds port 0, and tests beside this one, also those of tests/e2e/harness.py, are kept from
// it. 0, with the reason on standard error, when there is none. Any thread; does not block.
int FreePort();

}  // namespace posthorn::testing
