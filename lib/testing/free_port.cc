#include "lib/testing/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include "lib/base/strings.h"

namespace posthorn::testing {
namespace {

// As in tests/e2e/harness.py.
constexpr int kFirst = 31500;
constexpr int kCount = 1200;

bool Free(int port, int kind) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return bound;
}

// The port's abstract socket, by which tests exclude each other; never closed. -1: another has it.
int Reserve(int port) {
  const std::string name = base::StrCat("posthorn-test-port-", port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

int FreePort() {
  static std::atomic<int> given = 0;
  const int start = getpid() * 13 + given++;
  for (int step = 0; step < kCount; ++step) {
    const int port = kFirst + (start + step) % kCount;
    const int reservation = Reserve(port);
    if (reservation < 0) continue;
    if (Free(port, SOCK_STREAM) && Free(port, SOCK_DGRAM)) return port;
    close(reservation);
  }
  std::fputs("no free port between 31500 and 32699\n", stderr);
  return 0;
}

}  // namespace posthorn::testing
