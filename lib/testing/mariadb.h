#pragma once

// Real MariaDB servers for tests, each in a temporary folder on a free loopback port, with
// innodb_flush_log_at_trx_commit=1. They die with the test program. One takes about half a second
// to start: share it between the tests of a program and give each test its own NewDatabase().

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/testing/temp_dir.h"

namespace posthorn::testing {

class MariadbServer {
 public:
  // Null, with the reason on stderr, when it does not come up. `arguments` are mariadbd's own.
  static std::unique_ptr<MariadbServer> Start(std::vector<std::string> arguments = {});
  ~MariadbServer();
  MariadbServer(const MariadbServer&) = delete;

  static constexpr std::string_view kUser = "posthorn";  // may do everything
  static constexpr std::string_view kPassword = "secret";
  int port() const { return port_; }
  pid_t pid() const { return pid_; }
  const std::string& directory() const { return directory_.path(); }
  // An empty database of its own; its name. Empty when the server refuses.
  std::string NewDatabase();
  // mysql://posthorn@127.0.0.1:PORT/DATABASE
  std::string Url(std::string_view database) const;
  // Runs `sql` by MariaDB's own client; its output, columns separated by tabs. Empty on failure.
  std::string Sql(std::string_view sql) const;

  void Kill();    // SIGKILL
  void Freeze();  // SIGSTOP; returns when it stands still
  void Thaw();
  void Stop();     // in order
  bool Restart();  // on the same data and port, also after Kill()

 private:
  friend class GaleraCluster;
  MariadbServer() = default;
  bool Prepare();
  bool Launch();
  void Reap();

  bool GiveTo(const char* user);

  TempDir directory_;
  std::string user_;
  std::vector<std::string> arguments_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// Three nodes on loopback that replicate synchronously.
class GaleraCluster {
 public:
  static std::unique_ptr<GaleraCluster> Start();
  static constexpr int kNodes = 3;
  MariadbServer& node(int number) { return *nodes_[static_cast<size_t>(number)]; }
  std::string NewDatabase() { return nodes_[0]->NewDatabase(); }
  // All nodes, beginning with `first`.
  std::string Url(std::string_view database, int first = 0) const;
  // How many nodes `number` sees together with itself; 0 when it is not part of a primary
  // component.
  int SizeSeenBy(int number) const;
  // Starts a killed node again and waits until it has caught up.
  bool Rejoin(int number);

 private:
  GaleraCluster() = default;
  std::vector<std::unique_ptr<MariadbServer>> nodes_;
};

}  // namespace posthorn::testing
