#include "lib/rpc/role_listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <asio/basic_socket_acceptor.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <cerrno>
#include <cstring>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"

namespace posthorn::rpc {
namespace {

using Protocol = asio::generic::stream_protocol;

constexpr int kBacklog = 1024;

absl::Status Failed(std::string_view what, const std::string& path) {
  return base::Unavailable(base::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

bool SomebodyListens(const sockaddr_un& address) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN;
  close(fd);
  return connected;
}

// A socket bound to `path` that does not listen yet.
absl::StatusOr<int> BoundSocket(const std::string& path, uint32_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return base::Invalid(base::StrCat("not a socket path: ", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat there{};
  if (lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) {
    if (SomebodyListens(address)) {
      return base::Unavailable(base::StrCat("in use: ", path));
    }
    unlink(path.c_str());
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Failed("socket", path);
  // The mode is set before anybody can connect.
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path.c_str(), mode) != 0) {
    const absl::Status status = Failed("bind", path);
    close(fd);
    return status;
  }
  return fd;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

absl::StatusOr<int> BoundPort(const std::string& text, int& family, int& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return base::Invalid(base::StrCat("not host:port: ", text));
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int failed =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), text.c_str() + colon + 1, &hints, &list);
  if (failed != 0) return base::Invalid(base::StrCat(text, ": ", gai_strerror(failed)));
  const std::unique_ptr<addrinfo, FreeAddresses> found(list);
  family = found->ai_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Failed("socket", text);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  // Only listening says surely that nobody else has the port.
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, kBacklog) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    const absl::Status status = Failed("bind", text);
    close(fd);
    return status;
  }
  port = ntohs(family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                  : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return fd;
}

class AsioListener : public RoleListener, public std::enable_shared_from_this<AsioListener> {
 public:
  AsioListener(net::Loop& loop, std::string name, int family, int fd, int first)
      : loop_(loop),
        name_(std::move(name)),
        family_(family),
        first_(first),
        acceptor_(loop.context()) {
    acceptor_.assign(Protocol(family, 0), fd);
  }
  void Listen(std::function<void(int)> accepted) override {
    accepted_ = std::move(accepted);
    acceptor_.listen(kBacklog);
    Accept();
  }
  void Close() {
    accepted_ = nullptr;
    retry_.reset();
    std::error_code ignored;
    acceptor_.close(ignored);
    if (family_ == AF_UNIX) unlink(name_.c_str());
  }

 private:
  void Accept() {
    acceptor_.async_accept(
        [self = shared_from_this()](const std::error_code& error, Protocol::socket socket) {
          if (!self->accepted_) return;
          if (error) return self->Pause(error.message());
          self->Hand(std::move(socket));
          self->Accept();
        });
  }
  // Out of descriptors, most likely: better later than in a busy loop.
  void Pause(const std::string& why) {
    observe::Warning("rpc.accept", {{"socket", name_}, {"error", why}});
    retry_ = loop_.After(std::chrono::milliseconds(100), [this] { Accept(); });
  }
  void Hand(Protocol::socket socket) {
    const int fd = fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, first_);
    if (fd < 0 || fd >= first_ + kDescriptorsOfAListener) {
      if (fd >= 0) close(fd);
      observe::Warning("rpc.too_many_connections", {{"socket", name_}});
      return;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    const int on = 1;
    if (family_ != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    accepted_(fd);
  }

  net::Loop& loop_;
  const std::string name_;
  const int family_;
  const int first_;
  asio::basic_socket_acceptor<Protocol> acceptor_;
  std::function<void(int)> accepted_;
  std::unique_ptr<net::Loop::Timer> retry_;
};

// The acceptor's pending operation may outlive the handle.
class Handle : public RoleListener {
 public:
  explicit Handle(std::shared_ptr<AsioListener> listener) : listener_(std::move(listener)) {}
  ~Handle() override { listener_->Close(); }
  void Listen(std::function<void(int)> accepted) override {
    listener_->Listen(std::move(accepted));
  }

 private:
  std::shared_ptr<AsioListener> listener_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RoleListener>> RoleListener::Bind(net::Loop& loop, std::string path,
                                                                 uint32_t mode, int first) {
  const absl::StatusOr<int> fd = BoundSocket(path, mode);
  if (!fd.ok()) return fd.status();
  return std::unique_ptr<RoleListener>(std::make_unique<Handle>(
      std::make_shared<AsioListener>(loop, std::move(path), AF_UNIX, *fd, first)));
}

absl::StatusOr<std::unique_ptr<RoleListener>> RoleListener::BindTcp(net::Loop& loop,
                                                                    std::string address, int first,
                                                                    int& port) {
  int family = AF_UNSPEC;
  const absl::StatusOr<int> fd = BoundPort(address, family, port);
  if (!fd.ok()) return fd.status();
  return std::unique_ptr<RoleListener>(std::make_unique<Handle>(
      std::make_shared<AsioListener>(loop, std::move(address), family, *fd, first)));
}

int FirstDescriptor(size_t index, size_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  // A higher number would only make the kernel's table larger.
  const auto end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
  return end - static_cast<int>(count - index) * kDescriptorsOfAListener;
}

}  // namespace posthorn::rpc
