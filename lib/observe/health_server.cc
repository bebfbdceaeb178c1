#include "lib/observe/health_server.h"

#include <CivetServer.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

// One page: a status and a text.
class Page : public CivetHandler {
 public:
  struct Answer {
    int status = 200;
    std::string text;
  };
  explicit Page(std::function<Answer()> make) : make_(std::move(make)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const Answer answer = make_();
    mg_printf(connection,
              "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
              "Content-Length: %zu\r\nConnection: close\r\n\r\n",
              answer.status, answer.status == 200 ? "OK" : "Service Unavailable", answer.text.size());
    mg_write(connection, answer.text.data(), answer.text.size());
    return true;
  }

 private:
  std::function<Answer()> make_;
};

class CivetHealthServer : public HealthServer {
 public:
  CivetHealthServer(const std::string& address, std::function<std::string()> ready,
                    std::function<bool()> alive)
      : livez_([alive = std::move(alive)] {
          return alive() ? Page::Answer{200, "ok\n"} : Page::Answer{503, "the event loop does not turn\n"};
        }),
        readyz_([ready = std::move(ready)] {
          const std::string missing = ready();
          return missing.empty() ? Page::Answer{200, "ok\n"} : Page::Answer{503, missing + "\n"};
        }),
        metrics_([] { return Page::Answer{200, MetricsText()}; }),
        server_(std::vector<std::string>{"listening_ports", address, "num_threads", "2",
                                         "enable_keep_alive", "no", "request_timeout_ms", "5000"}) {
    server_.addHandler("/livez$", livez_);
    server_.addHandler("/readyz$", readyz_);
    server_.addHandler("/metrics$", metrics_);
  }
  // The library's accept loop looks at its stop flag only every two seconds, or when somebody connects.
  ~CivetHealthServer() override {
    const uint16_t bound = port();
    std::atomic<bool> stopped{false};
    std::thread stopper([this, &stopped] {
      server_.close();
      stopped = true;
    });
    while (!stopped && bound != 0) {
      Knock(bound);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    stopper.join();
  }
  uint16_t port() const override {
    const std::vector<int> ports = const_cast<CivetServer&>(server_).getListeningPorts();
    return ports.empty() ? 0 : static_cast<uint16_t>(ports.front());
  }

 private:
  static void Knock(uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    [[maybe_unused]] const int answer =
        connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    close(fd);
  }

  Page livez_;
  Page readyz_;
  Page metrics_;
  CivetServer server_;  // last: its threads stop before the pages go
};

}  // namespace

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(std::string address,
                                                                  std::function<std::string()> ready,
                                                                  std::function<bool()> alive) {
  if (address.starts_with(':')) address.erase(0, 1);
  try {
    return std::make_unique<CivetHealthServer>(address, std::move(ready), std::move(alive));
  } catch (const CivetException&) {
    return base::Unavailable(base::StrCat("cannot listen on ", address, " for health and metrics"));
  }
}

}  // namespace posthorn::observe
