#include <cstdio>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "tests/bench/load/client.h"
#include "tests/bench/load/modes.h"

namespace posthorn::load {
namespace {

// Distinct messages in each mailbox; the rest are their copies.
constexpr uint64_t kAppended = 25;
constexpr uint64_t kWorkers = 8;

net::Task<absl::Status> AppendOne(Dialogue* imap, const Options* options, uint64_t number,
                                  std::string user) {
  const std::string message = MakeMessage(options->size, number, "sender@load.test", user);
  imap->Say(base::StrCat("a APPEND INBOX {", message.size(), "}\r\n"));
  if (absl::Status flushed = co_await imap->Flush(); !flushed.ok()) co_return flushed;
  const absl::StatusOr<std::string> go = co_await imap->Line();
  if (!go.ok()) co_return go.status();
  if (!go->starts_with("+")) co_return base::Internal(*go);
  imap->Say(base::StrCat(message, "\r\n"));
  const auto done = co_await imap->UntilTagged("a");
  co_return done.status();
}

net::Task<absl::Status> FillMailbox(Shared* shared, uint64_t number) {
  const Options& options = shared->options;
  const std::string user = options.User(number);
  auto opened =
      co_await ImapLogin(shared->loop, options.host, options.imap, user, options.password);
  if (!opened.ok()) co_return opened.status();
  Dialogue& imap = **opened;
  absl::StatusOr<uint64_t> count = co_await ImapCount(imap, "INBOX");
  if (!count.ok()) co_return count.status();
  for (; *count < kAppended && *count < options.messages; ++*count) {
    if (absl::Status added = co_await AppendOne(&imap, &options, *count, user); !added.ok())
      co_return added;
  }
  imap.Say("s SELECT INBOX\r\n");
  if (auto selected = co_await imap.UntilTagged("s"); !selected.ok()) co_return selected.status();
  while (*count < options.messages) {
    const uint64_t more = std::min(*count, options.messages - *count);
    imap.Say(base::StrCat("c COPY 1:", more, " INBOX\r\n"));
    if (auto copied = co_await imap.Swallow("c"); !copied.ok() || !copied->ok) {
      co_return copied.ok() ? base::Internal("COPY failed") : copied.status();
    }
    imap.Say("n NOOP\r\n");
    if (auto told = co_await imap.UntilTagged("n"); !told.ok()) co_return told.status();
    *count += more;
  }
  imap.Say("o LOGOUT\r\n");
  const auto out = co_await imap.UntilTagged("o");
  co_return out.status();
}

net::Task<void> Worker(Shared* shared) {
  while (shared->next < shared->options.mailboxes) {
    const absl::Status filled = co_await FillMailbox(shared, shared->next++);
    if (!filled.ok()) Die(filled, "fill");
  }
  if (--shared->running == 0) shared->loop.Stop();
}

}  // namespace

void Fill(Shared& shared) {
  shared.began = base::MonotonicMicros();
  shared.running = std::min(kWorkers, shared.options.mailboxes);
  for (uint64_t i = shared.running; i > 0; --i) shared.loop.Spawn("fill", Worker(&shared));
  shared.loop.Run();
  std::printf("{\"mailboxes\": %llu, \"messages_each\": %llu, \"seconds\": %.3f}\n",
              static_cast<unsigned long long>(shared.options.mailboxes),
              static_cast<unsigned long long>(shared.options.messages),
              static_cast<double>(base::MonotonicMicros() - shared.began) / 1e6);
}

}  // namespace posthorn::load
