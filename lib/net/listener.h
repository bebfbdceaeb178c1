#pragma once

// Accepting: bind (as root, before privileges go), PROXY protocol, limits, sessions, graceful drain.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/connection.h"
#include "lib/net/network.h"  // InNetwork, ValidNetwork
#include "lib/net/task.h"

namespace posthorn::net {

class Loop;

struct ListenerOptions {
  std::string name;            // for logs and metrics
  std::string address = "::";  // "::" is dual stack
  uint16_t port = 0;           // 0: any free port (tests)
  std::vector<std::string> proxy_from;  // CIDRs that must send PROXY v1/v2; refused from all others
  size_t max_connections = 15000;
  size_t max_per_address = 0;                 // 0: no limit
  std::vector<std::string> never_limited;     // CIDRs
  std::chrono::milliseconds proxy_timeout{10000};
};

// What ended a connection before it became a session, for the session's protocol to word.
enum class Refusal { kTooManyConnections, kTooManyFromAddress };

class Listener {
 public:
  // `serve` is one session; the connection lives as long as its coroutine. TCP_NODELAY is set.
  using Serve = std::function<Task<void>(std::unique_ptr<Connection>)>;
  // The one line sent to a refused peer ("421 …\r\n"); the connection is closed after it.
  using Refuse = std::function<std::string(Refusal)>;

  // Binds and listens at once: kPermissionDenied, kAlreadyExists (port taken).
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(Loop& loop, ListenerOptions options);
  virtual ~Listener() = default;
  // Accepts from now on. A session that throws is logged. EMFILE pauses accepting, it never spins.
  virtual void Start(Serve serve, Refuse refuse) = 0;
  // Stops accepting and closes the port.
  virtual void Stop() = 0;
  // Open sessions.
  virtual size_t sessions() const = 0;
  virtual uint16_t port() const = 0;
  // Limits may change while it runs; port and address may not.
  virtual void SetLimits(const ListenerOptions& options) = 0;
};

// Tells sessions that the process wants to stop. One for each gateway process, on its loop.
class Drain {
 public:
  explicit Drain(Loop& loop);
  ~Drain();
  // True from the moment a stop was asked for: finish the command, then 421 or BYE.
  bool draining() const;
  void Begin();
  // Live handles: sessions that have not ended yet. A stopping process waits until it is 0 or its deadline.
  size_t open() const;
  // Wakes sessions that only wait for input: a callback for each, dropped with the handle.
  class Handle;
  std::unique_ptr<Handle> OnBegin(std::function<void()> wake);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};
class Drain::Handle {
 public:
  virtual ~Handle() = default;
};

}  // namespace posthorn::net
