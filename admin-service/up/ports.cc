#include "admin-service/up/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/strings.h"

namespace posthorn::up {
namespace {

// 0, or why it cannot be bound.
int TryBind(int family, const void* address, socklen_t size) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  const int error = bind(fd, static_cast<const sockaddr*>(address), size) == 0 ? 0 : errno;
  close(fd);
  return error;
}

int TryBind(const WantedPort& wanted) {
  sockaddr_in four{};
  sockaddr_in6 six{};
  four.sin_family = AF_INET;
  six.sin6_family = AF_INET6;
  four.sin_port = six.sin6_port = htons(static_cast<uint16_t>(wanted.port));
  if (inet_pton(AF_INET, wanted.address.c_str(), &four.sin_addr) == 1)
    return TryBind(AF_INET, &four, sizeof(four));
  if (inet_pton(AF_INET6, wanted.address.c_str(), &six.sin6_addr) != 1) return EINVAL;
  const int error = TryBind(AF_INET6, &six, sizeof(six));
  // Where there is no IPv6, "::" means all of IPv4, as it does for listeners.
  const bool no_ipv6 = error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
  return no_ipv6 && wanted.address == "::" ? TryBind(AF_INET, &four, sizeof(four)) : error;
}

std::string Advice(const Options& options, int error) {
  if (error == EACCES)
    return "ports below 1024 need root; or choose others with --port-base N (1024 to 64000)";
  if (error != EADDRINUSE) return "see --bind";
  return options.port_base == 0
             ? "stop what listens there, or choose other ports with --port-base N"
             : "choose another --port-base";
}

}  // namespace

absl::Status CheckPorts(const Options& options, const std::vector<WantedPort>& ports,
                        std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (const WantedPort& wanted : ports) {
    int error = TryBind(wanted);
    while (error == EADDRINUSE && std::chrono::steady_clock::now() < end) {
      usleep(20'000);
      error = TryBind(wanted);
    }
    if (error == 0) continue;
    return base::Precondition(
        base::StrCat("port ", wanted.port, " (", wanted.what, ") on ", wanted.address,
                     error == EADDRINUSE ? " is taken" : base::StrCat(": ", std::strerror(error)),
                     "; ", Advice(options, error)));
  }
  return absl::OkStatus();
}

}  // namespace posthorn::up
