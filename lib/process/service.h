#pragma once

// What every process does in the same way: flags, log, signals, privileges, configuration, trace,
// health, drain. A main.cc makes a Service, registers handlers or listeners in Setup, and calls
// Run.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/cluster/queues.h"
#include "lib/cluster/stores.h"
#include "lib/config/snapshot.h"
#include "lib/net/task.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"

namespace posthorn::admin::v1 {
class ProcessReport;
}
namespace posthorn::common::v1 {
class Event;
}
namespace posthorn::net {
class Drain;
class Loop;
}  // namespace posthorn::net

namespace posthorn::process {

// Flags, the same for all seven:
//   --run DIR        sockets: service S listens for role R on DIR/S.R/sock
//   --data DIR       this process's own files
//   --store, --queue, --spam, --admin TARGET   instead of the sockets under --run
//   --listen ADDR[=ROLE]  gRPC address besides the sockets, whose callers have that role;
//   repeatable
//   --health ADDR    /livez /readyz /metrics
//   --port-base N    added to every Listener's port below 10000 (see docs/operators.md)
//   --bind ADDR      replaces the address of every Listener (127.0.0.1 for demos)
//   --user NAME      become this user after binding, when started as root
//   --log LEVEL
//   --name NAME      this replica's name, the same after a restart; the host's without it
//   --advertise HOST:PORT  where other processes reach this one; without it the host's name and the
//   port of the first --listen without a role
//   --tls-cert, --tls-key, --tls-ca FILE   mTLS for every gRPC connection over TCP
struct Flags {
  std::string run;
  std::string data;
  std::string store, queue, spam, admin;
  std::vector<std::string> listen;
  std::string health;
  int port_base = 0;
  std::string bind;
  std::string user;
  std::string name;
  std::string advertise;
  std::string tls_cert, tls_key, tls_ca;
  // Flags the service declared itself, "name" → value.
  std::vector<std::pair<std::string, std::string>> own;
};

class Service {
 public:
  struct Options {
    std::string process;                 // "smtp-gateway"
    std::vector<std::string> own_flags;  // "--backend"
    // Run waits for the first configuration. The store does not (admin needs it first): config()
    // has defaults until admin answers. admin-service itself watches nothing.
    bool wants_config = true;
    std::vector<std::string> caller_roles;  // roles that may connect: one socket for each
  };
  // Parses argv, sets up log and signal mask, makes the loop. Prints and exits on --help,
  // --version, bad flags.
  static std::unique_ptr<Service> Create(int argc, char** argv, Options options);
  virtual ~Service() = default;

  virtual const Flags& flags() const = 0;
  virtual net::Loop& loop() = 0;
  virtual net::Drain& drain() = 0;
  // Clients of the other processes, made on first use. The store's finds the replica a call is for.
  virtual cluster::Stores& store() = 0;
  virtual cluster::Queues& queue() = 0;
  virtual rpc::Client& spam() = 0;
  virtual rpc::Client& admin() = 0;
  virtual rpc::Server& server() = 0;
  // The newest configuration; never null after the first snapshot (from admin or from
  // --data/config.snapshot).
  virtual std::shared_ptr<const config::Snapshot> config() = 0;
  // Called on the loop after each swap, and once at registration when there is one already.
  virtual void OnConfig(std::function<void(const config::Snapshot&)> changed) = 0;
  // Hands an event to the trace: never blocks, drops and counts when the store is away
  // (deep-structures 13). On the loop. Time and origin are filled in when empty. The store itself
  // records its own events directly.
  virtual void Record(posthorn::common::v1::Event event) = 0;
  // Names something that must be true for /readyz; `missing` returns "" or what is missing. Runs on
  // the loop.
  virtual void AddReadiness(std::function<std::string()> missing) = 0;
  // What this process says of itself in `posthorn status`; sent to admin-service every two seconds.
  virtual admin::v1::ProcessReport Describe() = 0;
  // Adds problems, in words, and lags to it; on the loop, and quick.
  virtual void AddReport(std::function<void(admin::v1::ProcessReport&)> add) = 0;
  // What only another start can mend: ends as SIGTERM does, but with exit code 1.
  virtual void End(const absl::Status& why) = 0;
  // Work at SIGTERM after the drain (until drain().open() is 0, at most Settings.drain_deadline),
  // before the loop stops (journal flush …), in order of registration.
  virtual void OnStop(std::function<net::Task<void>()> work) = 0;

  // Starts the health port, waits for configuration (if wanted), calls `setup` on the loop (bind
  // ports here; files in
  // --data are already this user's own), starts the server, runs
  // until SIGTERM or SIGINT (a second one cuts the drain short), drains, returns the exit code.
  virtual int Run(std::function<net::Task<absl::Status>()> setup) = 0;
};

}  // namespace posthorn::process
