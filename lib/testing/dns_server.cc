#include "lib/testing/dns_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

#include "lib/base/strings.h"
#include "lib/testing/eventually.h"
#include "lib/testing/free_port.h"

namespace posthorn::testing {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Output goes to `log`. -1 when it cannot be started.
pid_t Launch(const std::string& directory, const std::string& log,
             const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(fd, 1);
  dup2(fd, 2);
  if (chdir(directory.c_str()) != 0) _exit(126);
  execvp(argv[0], argv.data());
  _exit(127);
}

bool RunCommand(const std::string& directory, const std::vector<std::string>& command) {
  const pid_t pid = Launch(directory, base::StrCat(directory, "/commands.log"), command);
  int status = -1;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void WriteFile(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

std::string ZoneText(std::string_view name, std::string_view records) {
  return base::StrCat("$ORIGIN ", name,
                      ".\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\n",
                      "ns IN A 127.0.0.1\n", records, "\n");
}

// Asks for the root until any answer comes: then the server is up.
bool Answers(int port, pid_t pid) {
  static constexpr unsigned char kQuestion[] = {0x12, 0x34, 0, 0, 0, 1, 0, 0, 0,
                                                0,    0,    0, 0, 0, 6, 0, 1};
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  (void)!connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  bool answered = false;
  Eventually(std::chrono::seconds(30), [&] {
    char answer[512];
    (void)!send(fd, kQuestion, sizeof(kQuestion), 0);
    pollfd ready{fd, POLLIN, 0};
    poll(&ready, 1, 50);  // returns at once while the port refuses
    answered = recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0;
    return answered || waitpid(pid, nullptr, WNOHANG) != 0;
  });
  close(fd);
  return answered;
}

}  // namespace

std::unique_ptr<DnsServer> DnsServer::Start(std::string_view name, std::string_view records) {
  std::unique_ptr<DnsServer> server(new DnsServer);
  const std::string zone = server->directory_.File("zone");
  WriteFile(zone, ZoneText(name, records));
  if (!server->Serve(name, zone)) return nullptr;
  return server;
}

std::unique_ptr<DnsServer> DnsServer::StartSigned(std::string_view name, std::string_view records,
                                                  std::string_view forged_from,
                                                  std::string_view forged_to) {
  std::unique_ptr<DnsServer> server(new DnsServer);
  const std::string& directory = server->directory_.path();
  WriteFile(server->directory_.File("zone"), ZoneText(name, records));
  const std::string zone(name);
  const bool signed_ok = RunCommand(
      directory, {"sh", "-c",
                  base::StrCat("ldns-keygen -a ECDSAP256SHA256 -k -r /dev/urandom ", zone,
                               " > key && ldns-signzone -o ", zone,
                               " -f zone.signed zone $(cat key) && cp $(cat key).ds anchor")});
  if (!signed_ok) {
    std::fprintf(stderr, "signing %s: %s\n", zone.c_str(),
                 ReadFile(server->directory_.File("commands.log")).c_str());
    return nullptr;
  }
  std::string text = ReadFile(server->directory_.File("zone.signed"));
  if (!forged_from.empty()) {
    const size_t at = text.find(forged_from);
    if (at == std::string::npos) return nullptr;
    text.replace(at, forged_from.size(), forged_to);
    WriteFile(server->directory_.File("zone.signed"), text);
  }
  server->trust_anchor_ = server->directory_.File("anchor");
  if (!server->Serve(name, server->directory_.File("zone.signed"))) return nullptr;
  return server;
}

bool DnsServer::Serve(std::string_view name, const std::string& zone_file) {
  const std::string& d = directory_.path();
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = FreePort();
    WriteFile(
        directory_.File("nsd.conf"),
        base::StrCat("server:\n ip-address: 127.0.0.1\n port: ", port_,
                     "\n username: \"\"\n chroot: \"\"\n", " zonesdir: \"", d,
                     "\"\n database: \"\"\n pidfile: \"\"\n xfrdir: \"", d, "\"\n zonelistfile: \"",
                     d, "/zones\"\n xfrdfile: \"", d, "/xfrd\"\n server-count: 1\n",
                     "remote-control:\n control-enable: no\nzone:\n name: ", name,
                     "\n zonefile: ", zone_file, "\n"));
    pid_ = Launch(d, directory_.File("nsd.log"),
                  {"/usr/sbin/nsd", "-d", "-c", directory_.File("nsd.conf")});
    if (pid_ > 0 && Answers(port_, pid_)) return true;
    Stop();
  }
  std::fprintf(stderr, "nsd: %s\n", ReadFile(directory_.File("nsd.log")).c_str());
  return false;
}

DnsServer::~DnsServer() { Stop(); }

void DnsServer::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string DnsServer::address() const { return base::StrCat("127.0.0.1@", port_); }

SilentDnsServer::SilentDnsServer() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    std::perror("SilentDnsServer");
  port_ = ntohs(address.sin_port);
}

SilentDnsServer::~SilentDnsServer() { close(fd_); }

std::string SilentDnsServer::address() const { return base::StrCat("127.0.0.1@", port_); }

}  // namespace posthorn::testing
