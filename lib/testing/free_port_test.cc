#include "lib/testing/free_port.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <set>
#include <string>

#include "lib/base/strings.h"

namespace posthorn::testing {
namespace {

void BindOnce(int port, int kind) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0) << port;
  close(fd);
}

// What a Python test holds that was given `port`; also when another does already.
int HoldAsHarness(int port) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = base::StrCat("posthorn-test-port-", port);
  name.copy(address.sun_path + 1, name.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void)!bind(fd, reinterpret_cast<sockaddr*>(&address),
              static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
  return fd;
}

TEST(FreePort, MayBeListenedOnAndLiesBelowTheKernelsOwn) {
  const int port = FreePort();
  EXPECT_GE(port, 31500);
  EXPECT_LT(port, 32700);
  BindOnce(port, SOCK_STREAM);
  BindOnce(port, SOCK_DGRAM);
}

TEST(FreePort, IsGivenOnce) {
  std::set<int> given;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(given.insert(FreePort()).second);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 20; ++i) {
      if (!given.insert(FreePort()).second) _exit(1);
    }
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(FreePort, IsNoneThatAnotherTestHas) {
  for (int round = 0; round < 5; ++round) {
    const int next = FreePort() + 1;
    const int fd = HoldAsHarness(next);
    EXPECT_NE(FreePort(), next);
    close(fd);
  }
}

}  // namespace
}  // namespace posthorn::testing
