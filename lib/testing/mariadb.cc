#include "lib/testing/mariadb.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/base/strings.h"
#include "lib/testing/eventually.h"
#include "lib/testing/free_port.h"

namespace posthorn::testing {
namespace {

constexpr char kProvider[] = "/usr/lib/galera/libgalera_smm.so";
constexpr char kGrants[] =
    "FLUSH PRIVILEGES;\nCREATE USER posthorn@'%' IDENTIFIED BY 'secret';\n"
    "GRANT ALL ON *.* TO posthorn@'%' WITH GRANT OPTION;\n";

constexpr const char* kSettings[] = {"mariadbd",
                                     "--no-defaults",
                                     "--bind-address=127.0.0.1",
                                     "--skip-name-resolve",
                                     "--innodb-flush-log-at-trx-commit=1",
                                     "--innodb-buffer-pool-size=64M",
                                     "--innodb-log-file-size=32M",
                                     "--innodb-buffer-pool-dump-at-shutdown=OFF",
                                     "--innodb-buffer-pool-load-at-startup=OFF",
                                     "--performance-schema=OFF"};

// Output goes to `log`; the child dies with this program. -1 when it cannot be started.
pid_t Spawn(const std::string& log, const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  execvp(argv[0], argv.data());
  _exit(127);
}

bool Succeeds(const std::string& log, const std::vector<std::string>& command) {
  const pid_t pid = Spawn(log, command);
  int status = -1;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string Contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// MariaDB's own tables, made once for each test program: in memory if possible, because the
// installer syncs a lot.
const std::string& Template() {
  static TempDir* const kHome = new TempDir;
  static const std::string kMade = [] {
    const std::string grants = kHome->File("grants.sql");
    std::ofstream(grants) << kGrants;
    const std::string fast = base::StrCat("/dev/shm/posthorn-mariadb-", getpid());
    const std::string log = kHome->File("install.log");
    // A server that starts removes the temporary tables of any that shares its folder for them.
    const bool ok =
        Succeeds(log, {"mariadb-install-db", "--no-defaults", base::StrCat("--datadir=", fast),
                       base::StrCat("--tmpdir=", kHome->path()),
                       "--user=" + std::string(geteuid() == 0 ? "root" : "mysql"),
                       "--auth-root-authentication-method=normal", "--skip-test-db",
                       "--innodb-log-file-size=8M", base::StrCat("--extra-file=", grants)});
    if (!ok) std::fprintf(stderr, "mariadb-install-db: %s\n", Contents(log).c_str());
    std::error_code error;
    std::filesystem::copy(fast, kHome->File("data"), std::filesystem::copy_options::recursive,
                          error);
    std::filesystem::remove_all(fast, error);
    std::atexit([] { std::filesystem::remove_all(kHome->path()); });
    return kHome->File("data");
  }();
  return kMade;
}

}  // namespace

std::unique_ptr<MariadbServer> MariadbServer::Start(std::vector<std::string> arguments) {
  std::unique_ptr<MariadbServer> server(new MariadbServer);
  server->arguments_ = std::move(arguments);
  if (!server->Prepare()) return nullptr;
  for (int attempt = 0; attempt < 5; ++attempt) {
    server->port_ = FreePort();
    if (server->Restart()) return server;
  }
  return nullptr;
}

MariadbServer::~MariadbServer() { Kill(); }

bool MariadbServer::Prepare() {
  std::error_code error;
  std::filesystem::copy(Template(), directory_.File("data"),
                        std::filesystem::copy_options::recursive, error);
  if (error) std::fprintf(stderr, "mariadb's data: %s\n", error.message().c_str());
  return !error;
}

// rsync, which copies one node's state to another, gives up root's rights by itself.
bool MariadbServer::GiveTo(const char* user) {
  if (geteuid() != 0) return true;
  user_ = user;
  return Succeeds(directory_.File("chown.log"), {"chown", "-R", user, directory_.path()});
}

bool MariadbServer::Launch() {
  std::vector<std::string> command(std::begin(kSettings), std::end(kSettings));
  for (const char* file : {"datadir=data", "socket=socket", "pid-file=pid", "tmpdir="}) {
    const std::string_view word = file;
    const size_t equals = word.find('=') + 1;
    command.push_back(
        base::StrCat("--", word.substr(0, equals), directory_.File(word.substr(equals))));
  }
  command.push_back(base::StrCat("--port=", port_));
  if (geteuid() == 0) command.push_back("--user=" + (user_.empty() ? "root" : user_));
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  pid_ = Spawn(directory_.File("log"), command);
  return pid_ > 0;
}

bool MariadbServer::Restart() {
  Stop();
  const auto decided = [this] {
    if (waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = -1;
    return pid_ < 0 || Sql("SELECT 1") == "1\n";
  };
  const bool up = Launch() && Eventually(std::chrono::seconds(60), decided);
  if (up && pid_ > 0) return true;
  std::fprintf(stderr, "mariadbd: %s\n", Contents(directory_.File("log")).c_str());
  Kill();
  return false;
}

void MariadbServer::Reap() {
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void MariadbServer::Kill() {
  if (pid_ > 0) kill(pid_, SIGKILL);
  Reap();
}

void MariadbServer::Stop() {
  if (pid_ <= 0) return;
  Thaw();
  kill(pid_, SIGTERM);
  Reap();
}

// Until the signal has arrived its threads go on.
void MariadbServer::Freeze() {
  if (pid_ <= 0) return;
  kill(pid_, SIGSTOP);
  int status = 0;
  if (waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) pid_ = -1;
}
void MariadbServer::Thaw() {
  if (pid_ > 0) kill(pid_, SIGCONT);
}

std::string MariadbServer::NewDatabase() {
  static std::atomic<int> next = 0;
  std::string name = base::StrCat("posthorn_", ++next);
  const std::string made = Sql(base::StrCat("CREATE DATABASE ", name, "; SELECT 1"));
  return made.empty() ? std::string() : name;
}

std::string MariadbServer::Url(std::string_view database) const {
  return base::StrCat("mysql://", kUser, "@127.0.0.1:", port_, "/", database);
}

std::string MariadbServer::Sql(std::string_view sql) const {
  static std::atomic<int> next = 0;
  const std::string answer = directory_.File(base::StrCat("answer-", ++next));
  const bool ok = Succeeds(
      answer, {"mariadb", "--no-defaults", base::StrCat("--socket=", directory_.File("socket")),
               base::StrCat("--user=", kUser), base::StrCat("--password=", kPassword), "--batch",
               "--skip-column-names", "--connect-timeout=5", "--execute", std::string(sql)});
  std::string text = ok ? Contents(answer) : "";
  std::filesystem::remove(answer);
  return text;
}

std::unique_ptr<GaleraCluster> GaleraCluster::Start() {
  std::unique_ptr<GaleraCluster> cluster(new GaleraCluster);
  std::vector<int> group(kNodes);
  std::vector<std::string> addresses;
  for (int& port : group) {
    port = FreePort();
    addresses.push_back(base::StrCat("127.0.0.1:", port));
  }
  for (int i = 0; i < kNodes; ++i) {
    std::unique_ptr<MariadbServer> node(new MariadbServer);
    if (!node->Prepare() || !node->GiveTo("mysql")) return nullptr;
    const int state = FreePort();
    const int increments = FreePort();
    const int group_port = group[static_cast<size_t>(i)];
    node->port_ = FreePort();
    node->arguments_ = {
        "--wsrep-on=ON",
        base::StrCat("--wsrep-provider=", kProvider),
        "--binlog-format=ROW",
        "--default-storage-engine=InnoDB",
        "--innodb-autoinc-lock-mode=2",
        "--wsrep-sst-method=rsync",
        base::StrCat("--wsrep-node-name=node", i),
        "--wsrep-slave-threads=2",
        base::StrCat("--wsrep-node-address=127.0.0.1:", group_port),
        base::StrCat("--wsrep-sst-receive-address=127.0.0.1:", state),
        base::StrCat("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:", group_port,
                     ";ist.recv_addr=127.0.0.1:", increments,
                     ";gcache.size=32M;evs.keepalive_period=PT0.5S;"
                     "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S"),
        base::StrCat("--wsrep-cluster-address=gcomm://", base::Join(addresses, ","))};
    if (i == 0) node->arguments_.emplace_back("--wsrep-new-cluster");
    if (!node->Restart()) return nullptr;
    if (i == 0) node->arguments_.pop_back();
    cluster->nodes_.push_back(std::move(node));
  }
  const bool together = Eventually(std::chrono::seconds(30),
                                   [&] { return cluster->SizeSeenBy(kNodes - 1) == kNodes; });
  return together ? std::move(cluster) : nullptr;
}

std::string GaleraCluster::Url(std::string_view database, int first) const {
  std::string hosts;
  for (int i = 0; i < kNodes; ++i) {
    if (i > 0) hosts += ',';
    base::StrAppend(hosts, "127.0.0.1:", nodes_[static_cast<size_t>((first + i) % kNodes)]->port());
  }
  return base::StrCat("mysql://", MariadbServer::kUser, "@", hosts, "/", database);
}

int GaleraCluster::SizeSeenBy(int number) const {
  const MariadbServer& node = *nodes_[static_cast<size_t>(number)];
  if (node.pid() <= 0) return 0;
  const std::string ready = node.Sql(
      "SHOW STATUS WHERE Variable_name IN "
      "('wsrep_ready','wsrep_local_state','wsrep_cluster_size')");
  if (ready.find("wsrep_ready\tON") == std::string::npos) return 0;
  // Synced: neither copies its data to another nor has still to catch up.
  if (ready.find("wsrep_local_state\t4") == std::string::npos) return 0;
  const size_t at = ready.find("wsrep_cluster_size\t");
  return at == std::string::npos ? 0 : std::atoi(ready.c_str() + at + 19);
}

bool GaleraCluster::Rejoin(int number) {
  return node(number).Restart() && Eventually(std::chrono::seconds(60), [&] {
           for (int i = 0; i < kNodes; ++i) {
             if (SizeSeenBy(i) != kNodes) return false;
           }
           return true;
         });
}

}  // namespace posthorn::testing
