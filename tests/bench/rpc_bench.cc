// CPU of one small call, client and server in one process, over a unix socket, TCP, and TCP with certificates on both
// sides, the three in turn for each row: `rpc_bench [seconds for each row [rounds]]`.

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "lib/certs/folder.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/server.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::rpc {
namespace {

using common::v1::Event;
using Clock = std::chrono::steady_clock;

constexpr Method<Event, Event> kEcho{"/posthorn.bench.Bench/Echo"};

struct Row {
  const char* name;
  const char* stream;
  Flow flow;
  int in_flight;
};
constexpr Row kRows[] = {
    {"plain", "", Flow::kFree, 1},           {"plain", "", Flow::kFree, 16},
    {"plain", "", Flow::kFree, 128},         {"stream free", "f", Flow::kFree, 1},
    {"stream free", "f", Flow::kFree, 16},   {"stream free", "f", Flow::kFree, 128},
    {"stream held", "h", Flow::kHoldBack, 1}, {"stream held", "h", Flow::kHoldBack, 16},
    {"stream held", "h", Flow::kHoldBack, 128},
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

net::Task<absl::StatusOr<Event>> Echo(const CallContext&, Event event) { co_return event; }

struct Round {
  Row row;
  Clock::time_point end;
  int callers = 0;
  uint64_t calls = 0;
};

net::Task<void> Caller(net::Loop& loop, Client& client, Round& round) {
  Event event;
  event.set_text(std::string(100, 'x'));
  while (Clock::now() < round.end) {
    const auto reply =
        co_await client.Call(kEcho, round.row.stream, round.row.flow, CallOptions(), event);
    if (!reply.ok()) {
      std::fprintf(stderr, "%s\n", reply.status().ToString().c_str());
      std::abort();
    }
    ++round.calls;
  }
  if (--round.callers == 0) loop.Stop();
}

void Measure(net::Loop& loop, Client& client, const char* transport, const Row& row, double seconds) {
  Round round;
  round.row = row;
  const auto begun = Clock::now();
  round.end = begun + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
  round.callers = row.in_flight;
  const double cpu = CpuSeconds();
  for (int i = 0; i < row.in_flight; ++i) loop.Spawn("bench", Caller(loop, client, round));
  loop.Run();
  const double wall = std::chrono::duration<double>(Clock::now() - begun).count();
  const auto calls = static_cast<double>(round.calls);
  std::printf("%-12s %4d in flight  %-5s %7.1f CPU us a call  %8.0f calls/s\n", row.name, row.in_flight, transport,
              (CpuSeconds() - cpu) * 1e6 / calls, calls / wall);
  std::fflush(stdout);
}

std::shared_ptr<Credentials> CredentialsOf(net::Loop& loop, const std::string& folder, const std::string& process) {
  const std::string at = folder + "/" + process;
  auto loaded = Credentials::Load(loop, {at + "/tls.crt", at + "/tls.key", at + "/ca.crt"});
  if (!loaded.ok()) std::abort();
  return *loaded;
}

// A server on a loop and thread of its own, as another process is.
class Peer {
 public:
  Peer(const std::string& address, const std::string& folder) {
    std::promise<void> started;
    loop_.Post([&] {
      Server::Options options;
      options.addresses = {{address}};
      options.process = "bench";
      if (!folder.empty()) options.credentials = CredentialsOf(loop_, folder, "store-service");
      server_ = Server::Create(loop_, options);
      server_->Handle<Event, Event>(kEcho, {}, &Echo);
      if (!server_->Start().ok()) std::abort();
      started.set_value();
    });
    thread_ = std::thread([this] { loop_.Run(); });
    started.get_future().wait();
  }
  ~Peer() {
    server_->Stop(std::chrono::milliseconds(0));
    loop_.Stop();
    thread_.join();
    server_.reset();
  }
  std::string target() const { return "127.0.0.1:" + std::to_string(server_->port(0)); }

 private:
  net::Loop loop_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace
}  // namespace posthorn::rpc

int main(int argc, char** argv) {
  using namespace posthorn;
  using namespace posthorn::rpc;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 1;
  const std::string scratch = "/tmp/rpc_bench." + std::to_string(getpid());
  if (!certs::InitFolder({scratch + ".certs"}).ok()) std::abort();
  {
    const std::string socket = "unix:" + scratch;
    Peer local(socket, "");
    Peer tcp("127.0.0.1:0", "");
    Peer mtls("127.0.0.1:0", scratch + ".certs");
    net::Loop loop;
    const auto credentials = CredentialsOf(loop, scratch + ".certs", "smtp-gateway");
    const std::pair<const char*, std::unique_ptr<Client>> clients[] = {
        {"unix", Client::Create(loop, {socket})},
        {"tcp", Client::Create(loop, {tcp.target()})},
        {"mtls", Client::Create(loop, {mtls.target(), "", credentials, "store-service"})}};
    for (const Row& row : kRows) {
      for (int round = 0; round < rounds; ++round) {
        for (const auto& [transport, client] : clients) Measure(loop, *client, transport, row, seconds);
      }
    }
  }
  std::filesystem::remove_all(scratch + ".certs");
}
