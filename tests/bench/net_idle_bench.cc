// Memory of idle connections, plain and TLS: net_idle_bench [connections, 2000]
// The peers live in a child process, so that this process holds the server's side only.

#include <arpa/inet.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/net/tls_context.h"

namespace posthorn::net {
namespace {

using Context = std::shared_ptr<const TlsContext>;
constexpr std::chrono::minutes kIdle{5};

double ResidentKb() {
  malloc_trim(0);
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return static_cast<double>(pages * static_cast<size_t>(sysconf(_SC_PAGESIZE))) / 1024;
}

int DialBlocking(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) std::exit(1);
  return fd;
}

// The child: opens all connections, exchanges one line on each, then waits to be ended.
[[noreturn]] void RunPeers(uint16_t port, int count, SSL_CTX* tls) {
  char line[256];
  for (int i = 0; i < count; ++i) {
    const int fd = DialBlocking(port);
    if (tls != nullptr) {
      SSL* const ssl = SSL_new(tls);
      SSL_set_fd(ssl, fd);
      if (SSL_connect(ssl) != 1 || SSL_read(ssl, line, sizeof(line)) <= 0) std::exit(1);
      SSL_write(ssl, "EHLO x\r\n", 8);
    } else {
      if (read(fd, line, sizeof(line)) <= 0 || write(fd, "EHLO x\r\n", 8) != 8) std::exit(1);
    }
  }
  while (true) pause();
}

struct Progress {
  Loop* loop;
  Context context;
  int wanted;
  int idle = 0;
};

Task<void> Serve(Progress* progress, std::unique_ptr<Connection> connection) {
  if (progress->context) {
    const auto secured = co_await connection->StartTls(progress->context, kIdle);
    if (!secured.ok()) co_return;
  }
  connection->Append("220 mail.example.org\r\n");
  if (!(co_await connection->Flush(kIdle)).ok()) co_return;
  while ((co_await connection->ReadLine(512, kIdle)).ok()) {
    if (++progress->idle == progress->wanted) {
      progress->loop->AtTurnEnd([loop = progress->loop] { loop->Stop(); });
    }
  }
}

void Measure(const char* what, int count, const Context& context) {
  Loop loop;
  Progress progress{&loop, context, count};
  auto listener = Listener::Bind(loop, {.name = what, .address = "127.0.0.1"}).value();
  listener->Start([&](std::unique_ptr<Connection> c) { return Serve(&progress, std::move(c)); },
                  [](Refusal) { return std::string(); });
  const double before = ResidentKb();
  const pid_t child = fork();
  if (child == 0) {
    SSL_CTX* const tls = context ? SSL_CTX_new(TLS_client_method()) : nullptr;
    RunPeers(listener->port(), count, tls);
  }
  loop.Run();
  const double after = ResidentKb();
  std::printf("%-5s %d connections: %.2f KB each\n", what, count, (after - before) / count);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace posthorn::net

int main(int argc, char** argv) {
  using posthorn::net::TlsContext;
  const int count = argc > 1 ? std::atoi(argv[1]) : 2000;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  posthorn::net::Measure("plain", count, nullptr);
  const auto identity = TlsContext::MakeSelfSigned({"mail.example.org"}, 2);
  posthorn::net::Measure("tls", count, TlsContext::Server({*identity}).value());
  return 0;
}
