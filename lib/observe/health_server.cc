#include "lib/observe/health_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <list>
#include <thread>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

constexpr size_t kMostClients = 64;
constexpr size_t kMostRequest = 8192;
constexpr int64_t kTimeLimitMicros = 5'000'000;  // of a whole exchange

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Pages {
  std::function<std::string()> ready;
  std::function<bool()> alive;
};

std::string Response(std::string_view status, std::string_view text) {
  return base::StrCat(
      "HTTP/1.1 ", status,
      "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: ", text.size(),
      "\r\nConnection: close\r\n\r\n", text);
}

std::string Answer(std::string_view request, const Pages& pages) {
  constexpr std::string_view kGood = "200 OK";
  constexpr std::string_view kBad = "503 Service Unavailable";
  if (!request.starts_with("GET ")) return Response("405 Method Not Allowed", "only GET\n");
  request.remove_prefix(4);
  const std::string_view path = request.substr(0, request.find_first_of(" ?\r\n"));
  if (path == "/livez") {
    const bool alive = pages.alive();
    return Response(alive ? kGood : kBad, alive ? "ok\n" : "the event loop does not turn\n");
  }
  if (path == "/readyz") {
    const std::string missing = pages.ready();
    return Response(missing.empty() ? kGood : kBad, missing.empty() ? "ok\n" : missing + "\n");
  }
  if (path == "/metrics") return Response(kGood, MetricsText());
  return Response("404 Not Found", "/livez, /readyz or /metrics\n");
}

// One request and its answer.
struct Client {
  explicit Client(int fd) : socket(fd), deadline(base::MonotonicMicros() + kTimeLimitMicros) {}

  // False when it is over.
  bool Turn(const Pages& pages) { return out.empty() ? Read(pages) : Write(); }
  bool Read(const Pages& pages) {
    char buffer[2048];
    const ssize_t size = recv(socket.get(), buffer, sizeof(buffer), 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    in.append(buffer, static_cast<size_t>(size));
    if (in.find("\r\n\r\n") == std::string::npos && in.find("\n\n") == std::string::npos) {
      if (in.size() < kMostRequest) return true;
      out = Response("431 Request Header Fields Too Large", "");
    } else {
      out = Answer(in, pages);
    }
    return Write();
  }
  bool Write() {
    const ssize_t size = send(socket.get(), out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (size < 0) return errno == EAGAIN;
    sent += static_cast<size_t>(size);
    return sent < out.size();
  }

  Descriptor socket;
  int64_t deadline;
  std::string in;
  std::string out;
  size_t sent = 0;
};

class PollingServer : public HealthServer {
 public:
  PollingServer(Descriptor listener, Descriptor wake, Pages pages)
      : listener_(std::move(listener)), wake_(std::move(wake)), pages_(std::move(pages)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~PollingServer() override {
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  uint16_t port() const override {
    sockaddr_in6 address{};  // the port lies at the same place in both families
    socklen_t size = sizeof(address);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin6_port);
  }

 private:
  void Run() {
    std::vector<pollfd> fds;
    do {
      // A full house accepts nobody: who is served leaves within the time limit.
      const bool full = clients_.size() >= kMostClients;
      fds = {{wake_.get(), POLLIN, 0}, {full ? -1 : listener_.get(), POLLIN, 0}};
      for (const Client& client : clients_)
        fds.push_back(
            {client.socket.get(), static_cast<short>(client.out.empty() ? POLLIN : POLLOUT), 0});
      poll(fds.data(), fds.size(), clients_.empty() ? -1 : 1000);
      Serve(fds);
      if (fds[1].revents != 0) Accept();
    } while (fds[0].revents == 0);
  }
  // `fds` from the third on are those of clients_, in order.
  void Serve(const std::vector<pollfd>& fds) {
    const int64_t now = base::MonotonicMicros();
    auto fd = fds.begin() + 2;
    for (auto client = clients_.begin(); client != clients_.end(); ++fd) {
      const bool stays = now < client->deadline && (fd->revents == 0 || client->Turn(pages_));
      client = stays ? std::next(client) : clients_.erase(client);
    }
  }
  void Accept() {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      clients_.emplace_back(fd);
    } else if (errno == EMFILE || errno == ENFILE) {
      poll(nullptr, 0, 100);  // the listener stays readable: no busy loop meanwhile
    }
  }

  const Descriptor listener_;
  const Descriptor wake_;
  const Pages pages_;
  std::list<Client> clients_;
  std::thread thread_;
};

// "127.0.0.1:9101", "[::1]:9101" or "9101".
absl::StatusOr<Descriptor> Listen(std::string_view address) {
  const size_t colon = address.rfind(':');
  const std::string port(colon == std::string_view::npos ? address : address.substr(colon + 1));
  std::string host(colon == std::string_view::npos ? "" : address.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
      error != 0)
    return base::Invalid(gai_strerror(error));
  Descriptor listener(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool bound = bind(listener.get(), found->ai_addr, found->ai_addrlen) == 0 &&
                     listen(listener.get(), 128) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (!bound) return base::Unavailable(std::strerror(error));
  return listener;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(
    std::string address, std::function<std::string()> ready, std::function<bool()> alive) {
  absl::StatusOr<Descriptor> listener = Listen(address);
  Descriptor wake(eventfd(0, EFD_CLOEXEC));
  if (!listener.ok() || wake.get() < 0)
    return base::Unavailable(base::StrCat("cannot listen on ", address, " for health and metrics: ",
                                          base::Message(listener.status())));
  return std::make_unique<PollingServer>(*std::move(listener), std::move(wake),
                                         Pages{std::move(ready), std::move(alive)});
}

}  // namespace posthorn::observe
