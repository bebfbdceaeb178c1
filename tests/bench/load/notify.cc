#include <cstdio>
#include <cstdlib>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "tests/bench/load/client.h"
#include "tests/bench/load/modes.h"

namespace posthorn::load {
namespace {

struct Watcher {
  std::unique_ptr<Dialogue> imap;
  int64_t heard = 0;
  std::unique_ptr<net::Signal> news;
};

net::Task<void> Listen(Watcher* watcher) {
  for (;;) {
    const absl::StatusOr<std::string> line = co_await watcher->imap->Line();
    if (!line.ok()) co_return;
    if (line->find(" EXISTS") == std::string::npos) continue;
    watcher->heard = base::MonotonicMicros();
    watcher->news->NotifyAll();
  }
}

}  // namespace

net::Task<void> NotifyLoop(Shared* shared) {
  const Options& options = shared->options;
  Watcher watcher;
  watcher.news = std::make_unique<net::Signal>(shared->loop);
  auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(0),
                                   options.password);
  if (!client.ok()) Die(client.status(), "LOGIN");
  watcher.imap = *std::move(client);
  watcher.imap->Say("s SELECT INBOX\r\n");
  auto selected = co_await watcher.imap->UntilTagged("s");
  if (!selected.ok()) Die(selected.status(), "SELECT");
  watcher.imap->Say("i IDLE\r\n");
  if (!(co_await watcher.imap->Flush()).ok() || !(co_await watcher.imap->Line()).ok())
    Die(selected.status(), "IDLE");
  shared->loop.Spawn("listen", Listen(&watcher));
  auto smtp = co_await Dialogue::Open(shared->loop, options.host, options.smtp);
  if (!smtp.ok()) Die(smtp.status(), "connect");
  if (absl::Status hello = co_await SmtpHello(**smtp); !hello.ok()) Die(hello, "EHLO");
  for (uint64_t i = 0; i < options.messages; ++i) {
    watcher.heard = 0;
    const absl::Status sent =
        co_await SmtpSend(**smtp, "sender@load.test", options.User(0),
                          MakeMessage(options.size, i, "sender@load.test", options.User(0)));
    if (!sent.ok()) Die(sent, "send");
    const int64_t answered = base::MonotonicMicros();
    while (watcher.heard == 0) co_await watcher.news->Wait();
    shared->latency.Add(std::max<int64_t>(0, watcher.heard - answered));
    co_await net::Sleep(shared->loop, std::chrono::milliseconds(5));
  }
  std::printf("{\"notifications\": %zu, \"ms_p50\": %.2f, \"ms_p99\": %.2f}\n",
              shared->latency.size(), shared->latency.Milliseconds(0.5),
              shared->latency.Milliseconds(0.99));
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace posthorn::load
