// mailload: drives a mail server over SMTP and IMAP and prints one JSON object. Knows nothing of whose server it is.
//   mailload deliver --host H --smtp P --imap P --domain D --password W --messages N [--senders 20] [--mailboxes 20]
//            [--size 4096] [--fresh]      until all are visible; --fresh: a connection for each message
//   mailload login   --host H --imap P … --messages N         connect to logout
//   mailload notify  --host H --smtp P --imap P … --messages N   250 → EXISTS in an IDLE session, one at a time
//   mailload command --host H --imap P … --command "UID FETCH 1:* (FLAGS)"   select INBOX, run once, time it
//   mailload hold    --host H --imap P … --connections N [--tls]   opens idle sessions, prints "ready", waits for input

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/net/tls_context.h"
#include "tests/bench/load/client.h"

namespace posthorn::load {
namespace {

struct Options {
  std::string mode;
  std::string host = "127.0.0.1";
  std::string domain = "bench.test";
  std::string password = "secret";
  std::string command;
  uint16_t smtp = 0;
  uint16_t imap = 0;
  uint64_t messages = 1000;
  uint64_t senders = 20;
  uint64_t mailboxes = 20;
  uint64_t size = 4096;
  uint64_t connections = 100;
  bool fresh = false;
  bool tls = false;
  std::string User(uint64_t n) const { return base::StrCat("user", n % mailboxes, "@", domain); }
};

[[noreturn]] void Die(const absl::Status& status, const char* where) {
  std::fprintf(stderr, "mailload: %s: %s\n", where, status.ToString().c_str());
  std::exit(1);
}

struct Samples {
  std::vector<int64_t> micros;
  double At(double quantile) {
    if (micros.empty()) return 0;
    std::sort(micros.begin(), micros.end());
    const auto index = static_cast<size_t>(quantile * static_cast<double>(micros.size() - 1));
    return static_cast<double>(micros[index]);
  }
};

struct Shared {
  net::Loop& loop;
  const Options& options;
  uint64_t next = 0;
  uint64_t running = 0;
  Samples latency;
  int64_t began = 0;
};

net::Task<void> Sender(Shared* shared) {
  const Options& options = shared->options;
  std::unique_ptr<Dialogue> smtp;
  while (shared->next < options.messages) {
    const uint64_t number = shared->next++;
    const int64_t start = base::MonotonicMicros();
    if (!smtp) {
      auto opened = co_await Dialogue::Open(shared->loop, options.host, options.smtp);
      if (!opened.ok()) Die(opened.status(), "connect");
      smtp = *std::move(opened);
      if (absl::Status hello = co_await SmtpHello(*smtp); !hello.ok()) Die(hello, "EHLO");
    }
    const std::string from = "sender@load.test";
    const absl::Status sent = co_await SmtpSend(*smtp, from, options.User(number),
                                                MakeMessage(options.size, number, from, options.User(number)));
    if (!sent.ok()) Die(sent, "send");
    shared->latency.micros.push_back(base::MonotonicMicros() - start);
    if (options.fresh) {
      smtp->Say("QUIT\r\n");
      [[maybe_unused]] const absl::Status flushed = co_await smtp->Flush();
      [[maybe_unused]] const absl::Status bye = co_await smtp->Expect("221");
      smtp.reset();
    }
  }
  if (--shared->running == 0) shared->loop.Stop();
}

net::Task<void> CountAll(Shared* shared, std::vector<std::unique_ptr<Dialogue>>* clients, uint64_t* total) {
  *total = 0;
  for (const auto& client : *clients) {
    absl::StatusOr<uint64_t> count = co_await ImapCount(*client, "INBOX");
    if (!count.ok()) Die(count.status(), "STATUS");
    *total += *count;
  }
  shared->loop.Stop();
}

net::Task<void> LogInAll(Shared* shared, std::vector<std::unique_ptr<Dialogue>>* clients) {
  for (uint64_t i = 0; i < shared->options.mailboxes; ++i) {
    auto client = co_await ImapLogin(shared->loop, shared->options.host, shared->options.imap, shared->options.User(i),
                                     shared->options.password);
    if (!client.ok()) Die(client.status(), "LOGIN");
    clients->push_back(*std::move(client));
  }
  shared->loop.Stop();
}

void Deliver(Shared& shared) {
  std::vector<std::unique_ptr<Dialogue>> clients;
  uint64_t before = 0;
  shared.loop.Spawn("login", LogInAll(&shared, &clients));
  shared.loop.Run();
  shared.loop.Spawn("count", CountAll(&shared, &clients, &before));
  shared.loop.Run();
  std::puts("begin");  // the runner reads the CPU clocks now
  std::fflush(stdout);
  shared.began = base::MonotonicMicros();
  shared.running = shared.options.senders;
  for (uint64_t i = 0; i < shared.options.senders; ++i) shared.loop.Spawn("sender", Sender(&shared));
  shared.loop.Run();
  const int64_t sent = base::MonotonicMicros();
  for (uint64_t total = 0; total < before + shared.options.messages;) {
    shared.loop.Spawn("count", CountAll(&shared, &clients, &total));
    shared.loop.Run();
    if (total < before + shared.options.messages) usleep(2000);
  }
  const int64_t visible = base::MonotonicMicros();
  const double n = static_cast<double>(shared.options.messages);
  std::printf("{\"messages\": %.0f, \"sent_seconds\": %.3f, \"visible_seconds\": %.3f, \"visible_rate\": %.1f, "
              "\"latency_ms_p50\": %.2f, \"latency_ms_p99\": %.2f}\n",
              n, static_cast<double>(sent - shared.began) / 1e6, static_cast<double>(visible - shared.began) / 1e6,
              n * 1e6 / static_cast<double>(visible - shared.began), shared.latency.At(0.5) / 1000,
              shared.latency.At(0.99) / 1000);
}

net::Task<void> LoginLoop(Shared* shared) {
  const Options& options = shared->options;
  for (uint64_t i = 0; i < options.messages; ++i) {
    const int64_t start = base::MonotonicMicros();
    auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(i), options.password);
    if (!client.ok()) Die(client.status(), "LOGIN");
    (*client)->Say("o LOGOUT\r\n");
    auto out = co_await (*client)->UntilTagged("o");
    if (!out.ok()) Die(out.status(), "LOGOUT");
    shared->latency.micros.push_back(base::MonotonicMicros() - start);
    // The first round fills the login cache: the clocks count from the second.
    if (i + 1 == options.mailboxes) {
      std::puts("begin");
      std::fflush(stdout);
      shared->began = base::MonotonicMicros();
    }
  }
  const double n = static_cast<double>(options.messages - std::min(options.messages, options.mailboxes));
  std::printf("{\"logins\": %.0f, \"rate\": %.1f, \"latency_ms_p50\": %.3f}\n", n,
              n * 1e6 / static_cast<double>(base::MonotonicMicros() - shared->began), shared->latency.At(0.5) / 1000);
  shared->loop.Stop();
}

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

net::Task<void> NotifyLoop(Shared* shared) {
  const Options& options = shared->options;
  Watcher watcher;
  watcher.news = std::make_unique<net::Signal>(shared->loop);
  auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(0), options.password);
  if (!client.ok()) Die(client.status(), "LOGIN");
  watcher.imap = *std::move(client);
  watcher.imap->Say("s SELECT INBOX\r\n");
  auto selected = co_await watcher.imap->UntilTagged("s");
  if (!selected.ok()) Die(selected.status(), "SELECT");
  watcher.imap->Say("i IDLE\r\n");
  if (!(co_await watcher.imap->Flush()).ok() || !(co_await watcher.imap->Line()).ok()) Die(selected.status(), "IDLE");
  shared->loop.Spawn("listen", Listen(&watcher));
  auto smtp = co_await Dialogue::Open(shared->loop, options.host, options.smtp);
  if (!smtp.ok()) Die(smtp.status(), "connect");
  if (absl::Status hello = co_await SmtpHello(**smtp); !hello.ok()) Die(hello, "EHLO");
  for (uint64_t i = 0; i < options.messages; ++i) {
    watcher.heard = 0;
    const absl::Status sent = co_await SmtpSend(**smtp, "sender@load.test", options.User(0),
                                                MakeMessage(options.size, i, "sender@load.test", options.User(0)));
    if (!sent.ok()) Die(sent, "send");
    const int64_t answered = base::MonotonicMicros();
    while (watcher.heard == 0) co_await watcher.news->Wait();
    shared->latency.micros.push_back(std::max<int64_t>(0, watcher.heard - answered));
    co_await net::Sleep(shared->loop, std::chrono::milliseconds(5));
  }
  std::printf("{\"notifications\": %zu, \"ms_p50\": %.2f, \"ms_p99\": %.2f}\n", shared->latency.micros.size(),
              shared->latency.At(0.5) / 1000, shared->latency.At(0.99) / 1000);
  std::fflush(stdout);
  std::_Exit(0);
}

net::Task<void> RunCommand(Shared* shared) {
  const Options& options = shared->options;
  auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(0), options.password);
  if (!client.ok()) Die(client.status(), "LOGIN");
  std::puts("begin");
  std::fflush(stdout);
  const int64_t start = base::MonotonicMicros();
  (*client)->Say("s SELECT INBOX\r\n");
  auto selected = co_await (*client)->UntilTagged("s");
  if (!selected.ok()) Die(selected.status(), "SELECT");
  const int64_t ready = base::MonotonicMicros();
  Dialogue::Swallowed swallowed;
  if (!options.command.empty()) {
    (*client)->Say(base::StrCat("x ", options.command, "\r\n"));
    auto done = co_await (*client)->Swallow("x");
    if (!done.ok() || !done->ok) Die(done.ok() ? base::Internal("NO or BAD") : done.status(), "command");
    swallowed = *done;
  }
  const int64_t end = base::MonotonicMicros();
  std::printf("{\"select_ms\": %.2f, \"command_ms\": %.2f, \"lines\": %llu, \"bytes\": %llu, \"lines_per_second\": %.0f}\n",
              static_cast<double>(ready - start) / 1000, static_cast<double>(end - ready) / 1000,
              static_cast<unsigned long long>(swallowed.lines), static_cast<unsigned long long>(swallowed.bytes),
              static_cast<double>(swallowed.lines) * 1e6 / static_cast<double>(std::max<int64_t>(1, end - ready)));
  shared->loop.Stop();
}

net::Task<void> OpenIdle(Shared* shared, std::vector<std::unique_ptr<Dialogue>>* held) {
  const Options& options = shared->options;
  std::shared_ptr<const net::TlsContext> context;
  if (options.tls) context = *net::TlsContext::Client(net::TlsContext::Verify::kNone, "");
  for (uint64_t i = 0; i < options.connections; ++i) {
    auto opened = co_await Dialogue::Open(shared->loop, options.host, options.imap);
    if (!opened.ok()) Die(opened.status(), "connect");
    Dialogue& imap = **opened;
    if (options.tls) {
      const absl::Status secured = co_await imap.connection().StartTlsClient(context, "", kPatience);
      if (!secured.ok()) Die(secured, "TLS");
    }
    auto greeting = co_await imap.Line();
    if (!greeting.ok()) Die(greeting.status(), "greeting");
    imap.Say(base::StrCat("l LOGIN ", options.User(i), " ", options.password, "\r\n"));
    auto logged_in = co_await imap.UntilTagged("l");
    if (!logged_in.ok()) Die(logged_in.status(), "LOGIN");
    imap.Say("s SELECT INBOX\r\n");
    auto selected = co_await imap.UntilTagged("s");
    if (!selected.ok()) Die(selected.status(), "SELECT");
    imap.Say("i IDLE\r\n");
    if (!(co_await imap.Flush()).ok() || !(co_await imap.Line()).ok()) Die(base::Internal("no +"), "IDLE");
    held->push_back(*std::move(opened));
  }
  std::puts("ready");
  std::fflush(stdout);
  char ignored;
  [[maybe_unused]] const ssize_t n = read(STDIN_FILENO, &ignored, 1);
  std::_Exit(0);
}

Options Parse(int argc, char** argv) {
  Options options;
  options.mode = argc > 1 ? argv[1] : "";
  std::map<std::string, uint64_t*> numbers = {{"--messages", &options.messages},   {"--senders", &options.senders},
                                              {"--mailboxes", &options.mailboxes}, {"--size", &options.size},
                                              {"--connections", &options.connections}};
  std::map<std::string, std::string*> texts = {{"--host", &options.host},
                                               {"--domain", &options.domain},
                                               {"--password", &options.password},
                                               {"--command", &options.command}};
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--fresh") {
      options.fresh = true;
    } else if (name == "--tls") {
      options.tls = true;
    } else if (i + 1 == argc) {
      Die(base::Invalid(name), "option");
    } else if (numbers.contains(name)) {
      *numbers[name] = std::strtoull(argv[++i], nullptr, 10);
    } else if (texts.contains(name)) {
      *texts[name] = argv[++i];
    } else if (name == "--smtp" || name == "--imap") {
      (name == "--smtp" ? options.smtp : options.imap) = static_cast<uint16_t>(std::atoi(argv[++i]));
    } else {
      Die(base::Invalid(name), "option");
    }
  }
  return options;
}

}  // namespace
}  // namespace posthorn::load

int main(int argc, char** argv) {
  using namespace posthorn::load;
  const Options options = Parse(argc, argv);
  posthorn::net::Loop loop;
  Shared shared{loop, options};
  std::vector<std::unique_ptr<Dialogue>> held;
  if (options.mode == "deliver") {
    Deliver(shared);
    return 0;
  }
  if (options.mode == "login") loop.Spawn("login", LoginLoop(&shared));
  else if (options.mode == "notify") loop.Spawn("notify", NotifyLoop(&shared));
  else if (options.mode == "command") loop.Spawn("command", RunCommand(&shared));
  else if (options.mode == "hold") loop.Spawn("hold", OpenIdle(&shared, &held));
  else return 2;
  loop.Run();
  return 0;
}
