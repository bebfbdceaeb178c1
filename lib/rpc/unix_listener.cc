#include "lib/rpc/unix_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"

namespace posthorn::rpc {
namespace {

using Protocol = asio::local::stream_protocol;

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

class AsioUnixListener : public UnixListener,
                         public std::enable_shared_from_this<AsioUnixListener> {
 public:
  AsioUnixListener(net::Loop& loop, std::string path, int fd, int first)
      : loop_(loop), path_(std::move(path)), first_(first), acceptor_(loop.context()) {
    acceptor_.assign(Protocol(), fd);
  }
  void Listen(std::function<void(int)> accepted) override {
    accepted_ = std::move(accepted);
    acceptor_.listen(1024);
    Accept();
  }
  void Close() {
    accepted_ = nullptr;
    retry_.reset();
    std::error_code ignored;
    acceptor_.close(ignored);
    unlink(path_.c_str());
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
    observe::Warning("rpc.accept", {{"socket", path_}, {"error", why}});
    retry_ = loop_.After(std::chrono::milliseconds(100), [this] { Accept(); });
  }
  void Hand(Protocol::socket socket) {
    const int fd = fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, first_);
    if (fd < 0 || fd >= first_ + kDescriptorsOfAListener) {
      if (fd >= 0) close(fd);
      observe::Warning("rpc.too_many_connections", {{"socket", path_}});
      return;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    accepted_(fd);
  }

  net::Loop& loop_;
  const std::string path_;
  const int first_;
  Protocol::acceptor acceptor_;
  std::function<void(int)> accepted_;
  std::unique_ptr<net::Loop::Timer> retry_;
};

// The acceptor's pending operation may outlive the handle.
class Handle : public UnixListener {
 public:
  explicit Handle(std::shared_ptr<AsioUnixListener> listener) : listener_(std::move(listener)) {}
  ~Handle() override { listener_->Close(); }
  void Listen(std::function<void(int)> accepted) override {
    listener_->Listen(std::move(accepted));
  }

 private:
  std::shared_ptr<AsioUnixListener> listener_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Bind(net::Loop& loop, std::string path,
                                                                 uint32_t mode, int first) {
  const absl::StatusOr<int> fd = BoundSocket(path, mode);
  if (!fd.ok()) return fd.status();
  return std::unique_ptr<UnixListener>(std::make_unique<Handle>(
      std::make_shared<AsioUnixListener>(loop, std::move(path), *fd, first)));
}

int FirstDescriptor(size_t index, size_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  // A higher number would only make the kernel's table larger.
  const auto end = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
  return end - static_cast<int>(count - index) * kDescriptorsOfAListener;
}

}  // namespace posthorn::rpc
