#include <cstdio>
#include <cstdlib>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/net/tls_context.h"
#include "tests/bench/load/client.h"
#include "tests/bench/load/modes.h"

namespace posthorn::load {

net::Task<void> LoginLoop(Shared* shared) {
  const Options& options = shared->options;
  for (uint64_t i = 0; i < options.messages; ++i) {
    const int64_t start = base::MonotonicMicros();
    auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(i),
                                     options.password);
    if (!client.ok()) Die(client.status(), "LOGIN");
    (*client)->Say("o LOGOUT\r\n");
    auto out = co_await (*client)->UntilTagged("o");
    if (!out.ok()) Die(out.status(), "LOGOUT");
    shared->latency.Add(base::MonotonicMicros() - start);
    // The first round fills the login cache: the clocks count from the second.
    if (i + 1 == options.mailboxes) {
      Announce("begin");
      shared->began = base::MonotonicMicros();
    }
  }
  const double n =
      static_cast<double>(options.messages - std::min(options.messages, options.mailboxes));
  std::printf("{\"logins\": %.0f, \"rate\": %.1f, \"latency_ms_p50\": %.3f}\n", n,
              n * 1e6 / static_cast<double>(base::MonotonicMicros() - shared->began),
              shared->latency.Milliseconds(0.5));
  shared->loop.Stop();
}

net::Task<void> RunCommands(Shared* shared) {
  const Options& options = shared->options;
  auto client = co_await ImapLogin(shared->loop, options.host, options.imap, options.User(0),
                                   options.password);
  if (!client.ok()) Die(client.status(), "LOGIN");
  Announce("begin");
  int64_t start = base::MonotonicMicros();
  (*client)->Say("s SELECT INBOX\r\n");
  auto selected = co_await (*client)->UntilTagged("s");
  if (!selected.ok()) Die(selected.status(), "SELECT");
  std::printf("{\"select_ms\": %.2f, \"commands\": [",
              static_cast<double>(base::MonotonicMicros() - start) / 1000);
  const char* comma = "";
  for (const std::string& command : options.commands) {
    start = base::MonotonicMicros();
    (*client)->Say(base::StrCat("x ", command, "\r\n"));
    auto done = co_await (*client)->Swallow("x");
    if (!done.ok() || !done->ok)
      Die(done.ok() ? base::Internal("NO or BAD") : done.status(), command.c_str());
    std::printf("%s{\"ms\": %.2f, \"lines\": %llu, \"bytes\": %llu}", comma,
                static_cast<double>(base::MonotonicMicros() - start) / 1000,
                static_cast<unsigned long long>(done->lines),
                static_cast<unsigned long long>(done->bytes));
    comma = ", ";
  }
  std::puts("]}");
  shared->loop.Stop();
}

net::Task<void> HoldIdle(Shared* shared) {
  std::vector<std::unique_ptr<Dialogue>> held;
  const Options& options = shared->options;
  std::shared_ptr<const net::TlsContext> context;
  if (options.tls) context = *net::TlsContext::Client(net::TlsContext::Verify::kNone, "");
  for (uint64_t i = 0; i < options.connections; ++i) {
    auto opened = co_await Dialogue::Open(shared->loop, options.host, options.imap);
    if (!opened.ok()) Die(opened.status(), "connect");
    Dialogue& imap = **opened;
    if (options.tls) {
      const absl::Status secured =
          co_await imap.connection().StartTlsClient(context, "", kPatience);
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
    if (!(co_await imap.Flush()).ok() || !(co_await imap.Line()).ok())
      Die(base::Internal("no +"), "IDLE");
    held.push_back(*std::move(opened));
  }
  Announce("ready");
  std::_Exit(0);
}

}  // namespace posthorn::load
