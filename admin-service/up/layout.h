#pragma once

// Where everything of one suite on one machine lies: files, ports, processes. Pure but for finding
// users.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace posthorn::up {

struct Options {
  std::string dir = "/var/lib/posthorn";
  int port_base = 0;  // 0: the standard ports
  std::string bind;   // empty: the listeners' own addresses; 127.0.0.1 with a port base
  bool detach = false;
  bool demo = false;
  enum class Users { kAuto, kYes, kNo } users = Users::kAuto;
  std::string log = "info";
  // More flags of store-service, as StoreFlags() names them, each with its value.
  std::vector<std::string> store_flags;
  // Only these, when not empty (the others run elsewhere).
  std::vector<std::string> processes;
};

// Above it the processes take none: every listener's port below 10000 comes on top.
inline constexpr int kHighestPortBase = 55000;
// The flags of store-service that say where mail lies: database and message files.
const std::vector<std::string>& StoreFlags();

// In the order of starting; they stop in the opposite order of their stages.
struct Process {
  std::string_view name;
  int stage;          // 0 gateways, 1 queue, 2 spam, 3 admin, 4 store
  int health_offset;  // of the port base; standard port 9000 + offset
};
const std::vector<Process>& Processes();
inline constexpr int kStages = 5;

struct Port {
  std::string_view variable;  // "SMTP_PORT"
  int standard;               // also the offset of the port base
  std::string_view process;   // that listens there
};
const std::vector<Port>& Ports();

std::string Host(const Options& options);
std::string AdminAddress(const Options& options);
std::string HealthAddress(const Options& options, const Process& process);

// A port that the processes of `options` will bind.
struct WantedPort {
  std::string address;  // numeric
  int port = 0;
  std::string what;  // "SMTP", "health of smtp-gateway", in an operator's words
};
// Fixed: those that follow from `options` alone. First start: those of the listeners that a first
// start makes.
enum class Which { kFixed, kFirstStart };
std::vector<WantedPort> WantedPorts(const Options& options, Which which);
// True when `options` run `process` here.
bool Runs(const Options& options, std::string_view process);
// "smtp-gateway" → "SMTP_GATEWAY".
std::string VariableName(std::string_view process);
// The command line after the program's own name. `user` empty: as we are.
std::vector<std::string> Arguments(const Options& options, const Process& process,
                                   const std::string& user);

inline constexpr std::string_view kEndpointsFile = "endpoints.env";
// The whole file; `pids` in the order of Processes(), 0: does not run now.
std::string EndpointsText(const Options& options, int supervisor, const std::vector<int>& pids);
// The value of `name` in such a file's text; "" when it is not there.
std::string ReadVariable(std::string_view text, std::string_view name);

}  // namespace posthorn::up
