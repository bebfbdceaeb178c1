#include <unistd.h>

#include <cstdio>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "tests/bench/load/client.h"
#include "tests/bench/load/modes.h"

namespace posthorn::load {
namespace {

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
    const absl::Status sent =
        co_await SmtpSend(*smtp, from, options.User(number),
                          MakeMessage(options.size, number, from, options.User(number)));
    if (!sent.ok()) Die(sent, "send");
    shared->latency.Add(base::MonotonicMicros() - start);
    if (options.fresh) {
      smtp->Say("QUIT\r\n");
      [[maybe_unused]] const absl::Status flushed = co_await smtp->Flush();
      [[maybe_unused]] const absl::Status bye = co_await smtp->Expect("221");
      smtp.reset();
    }
  }
  if (--shared->running == 0) shared->loop.Stop();
}

net::Task<void> CountAll(Shared* shared, std::vector<std::unique_ptr<Dialogue>>* clients,
                         uint64_t* total) {
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
    auto client = co_await ImapLogin(shared->loop, shared->options.host, shared->options.imap,
                                     shared->options.User(i), shared->options.password);
    if (!client.ok()) Die(client.status(), "LOGIN");
    clients->push_back(*std::move(client));
  }
  shared->loop.Stop();
}

}  // namespace

void Deliver(Shared& shared) {
  std::vector<std::unique_ptr<Dialogue>> clients;
  uint64_t before = 0;
  shared.loop.Spawn("login", LogInAll(&shared, &clients));
  shared.loop.Run();
  shared.loop.Spawn("count", CountAll(&shared, &clients, &before));
  shared.loop.Run();
  Announce("begin");
  shared.began = base::MonotonicMicros();
  shared.running = shared.options.senders;
  for (uint64_t i = 0; i < shared.options.senders; ++i)
    shared.loop.Spawn("sender", Sender(&shared));
  shared.loop.Run();
  const int64_t sent = base::MonotonicMicros();
  for (uint64_t total = 0; total < before + shared.options.messages;) {
    shared.loop.Spawn("count", CountAll(&shared, &clients, &total));
    shared.loop.Run();
    // Between two looks: looking must not be the load.
    if (total < before + shared.options.messages) usleep(2000);
  }
  const int64_t visible = base::MonotonicMicros();
  const double n = static_cast<double>(shared.options.messages);
  std::printf(
      "{\"messages\": %.0f, \"sent_seconds\": %.3f, \"visible_seconds\": %.3f, \"visible_rate\": "
      "%.1f, "
      "\"latency_ms_p50\": %.2f, \"latency_ms_p99\": %.2f}\n",
      n, static_cast<double>(sent - shared.began) / 1e6,
      static_cast<double>(visible - shared.began) / 1e6,
      n * 1e6 / static_cast<double>(visible - shared.began), shared.latency.Milliseconds(0.5),
      shared.latency.Milliseconds(0.99));
}

}  // namespace posthorn::load
