// CPU of one small call, client and server in one process over a unix socket: `rpc_bench [seconds for each row]`.

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "lib/net/loop.h"
#include "lib/rpc/client.h"
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

void Measure(net::Loop& loop, Client& client, const Row& row, double seconds) {
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
  std::printf("%-12s %4d in flight  %7.1f CPU us a call  %8.0f calls/s\n", row.name, row.in_flight,
              (CpuSeconds() - cpu) * 1e6 / calls, calls / wall);
}

}  // namespace
}  // namespace posthorn::rpc

int main(int argc, char** argv) {
  using namespace posthorn;
  using namespace posthorn::rpc;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  const std::string address = "unix:/tmp/rpc_bench." + std::to_string(getpid());
  // As between two processes: a loop with its thread on each side.
  net::Loop server_loop;
  std::unique_ptr<Server> server;
  server_loop.Post([&] {
    Server::Options options;
    options.addresses = {{address}};
    options.process = "bench";
    server = Server::Create(server_loop, options);
    server->Handle<Event, Event>(rpc::kEcho, {}, &Echo);
    if (!server->Start().ok()) std::abort();
  });
  std::thread thread([&server_loop] { server_loop.Run(); });
  {
    net::Loop loop;
    auto client = Client::Create(loop, {address, ""});
    for (const Row& row : kRows) Measure(loop, *client, row, seconds);
  }
  server->Stop(std::chrono::milliseconds(0));
  server_loop.Stop();
  thread.join();
  server.reset();
}
