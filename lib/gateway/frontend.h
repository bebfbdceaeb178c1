#pragma once

// The ports of a gateway process, as the configuration says: which are open, their certificates, their limits.
// Follows configuration changes while it runs: new listeners open, removed ones close (their sessions go on), new
// certificates serve the next handshake. Everything on the service's loop.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/gateway/networks.h"
#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "lib/net/task.h"
#include "lib/net/tls_context.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::process {
class Service;
}

namespace posthorn::gateway {

// One open port; shared with its sessions, which may outlive its closing.
struct Port {
  config::v1::Listener config;
  // Null when no usable certificate is configured; the newest one otherwise.
  std::shared_ptr<const net::TlsContext> tls;
  bool offers_starttls() const {
    return tls != nullptr && (config.tls() == config::v1::STARTTLS || config.tls() == config::v1::STARTTLS_REQUIRED);
  }
  bool demands_tls() const { return config.tls() == config::v1::STARTTLS_REQUIRED; }
};

class Frontend {
 public:
  struct Options {
    std::vector<config::v1::Protocol> protocols;
    // One session. With implicit TLS the handshake is done already. The connection lives as long as the coroutine.
    std::function<net::Task<void>(std::unique_ptr<net::Connection>, std::shared_ptr<const Port>)> serve;
    net::Listener::Refuse refuse;
  };
  // Binds every port of the present configuration; call it in Service's setup, while still privileged. An error names
  // the port that could not be bound.
  static absl::StatusOr<std::unique_ptr<Frontend>> Open(process::Service& service, Options options);
  ~Frontend();

  // Open sessions on all ports.
  size_t sessions() const;
  // The bound port of a listener by name; 0 when it is not open.
  uint16_t PortOf(const std::string& listener) const;

 private:
  struct OpenPortState;
  Frontend(process::Service& service, Options options);
  absl::Status Apply(const config::Snapshot& snapshot);
  absl::Status OpenPort(const config::v1::Listener& config, std::shared_ptr<const net::TlsContext> tls);
  net::ListenerOptions OptionsFor(const config::v1::Listener& config) const;
  net::Task<void> Serve(std::unique_ptr<net::Connection> connection, std::shared_ptr<const Port> port);

  process::Service& service_;
  Options options_;
  Networks networks_;
  uint32_t max_per_address_ = 0;
  std::set<std::string> certificates_;  // names whose expiry the metrics tell
  std::map<std::string, std::unique_ptr<OpenPortState>> open_;
};

}  // namespace posthorn::gateway
