#include "store-service/database/mysql/commit_proxy_for_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace posthorn::mysql {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

CommitProxy::CommitProxy(int server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      listen(listener_, 16) == 0 &&
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port_ = ntohs(address.sin_port);
  }
  acceptor_ = std::thread([this] { Accept(); });
}

CommitProxy::~CommitProxy() {
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (const auto& link : links_) {
    shutdown(link->client, SHUT_RDWR);
    shutdown(link->server, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  for (const auto& link : links_) {
    close(link->client);
    close(link->server);
  }
  close(listener_);
}

void CommitProxy::Accept() {
  for (;;) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    auto link = std::make_shared<Link>();
    link->client = client;
    link->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(server_port_);
    if (connect(link->server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      shutdown(client, SHUT_RDWR);
    }
    const std::lock_guard lock(mutex_);
    links_.push_back(link);
    threads_.emplace_back([this, link] { FromClient(link); });
    threads_.emplace_back([this, link] { FromServer(link); });
  }
}

bool CommitProxy::Forward(Link& link, std::string_view packet) {
  const bool commit = packet.size() == 11 && packet.substr(4) ==
                                                 "\x03"
                                                 "COMMIT";
  switch (commit ? at_.exchange(At::kPass) : At::kPass) {
    case At::kPass:
      return SendAll(link.server, packet);
    case At::kCutBefore:
      return false;
    case At::kCutAfter:
      link.drop_answers = true;
      return SendAll(link.server, packet);
    case At::kHold: {
      const std::lock_guard lock(mutex_);
      for (const auto& own : links_) {
        if (own.get() == &link) held_.emplace_back(own, packet);
      }
      shutdown(link.client, SHUT_RDWR);
      return true;
    }
  }
  return false;
}

// The driver waits for each answer, so that a read is one command here.
void CommitProxy::FromClient(std::shared_ptr<Link> link) {
  std::string buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t got = recv(link->client, buffer.data(), buffer.size(), 0);
    if (got > 0 && Forward(*link, std::string_view(buffer).substr(0, static_cast<size_t>(got)))) {
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [own, packet] : held_) {
        if (own == link) return;
      }
    }
    shutdown(link->client, SHUT_RDWR);
    shutdown(link->server, SHUT_RDWR);
    return;
  }
}

void CommitProxy::FromServer(std::shared_ptr<Link> link) {
  std::string buffer(1 << 16, '\0');
  for (;;) {
    const ssize_t got = recv(link->server, buffer.data(), buffer.size(), 0);
    const bool good =
        got > 0 && !link->drop_answers &&
        SendAll(link->client, std::string_view(buffer).substr(0, static_cast<size_t>(got)));
    if (good) continue;
    shutdown(link->client, SHUT_RDWR);
    shutdown(link->server, SHUT_RDWR);
    return;
  }
}

void CommitProxy::Release() {
  const std::lock_guard lock(mutex_);
  for (const auto& [link, packet] : held_) (void)SendAll(link->server, packet);
  held_.clear();
}

}  // namespace posthorn::mysql
