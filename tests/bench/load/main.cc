// mailload: drives a mail server over SMTP and IMAP and prints one JSON object. Knows nothing of
// whose server it is. Modes, each with --host H --smtp P --imap P --domain D --password W:
//   deliver --messages N [--senders 20] [--mailboxes 20] [--size 4096] [--fresh]
//           until all are visible; --fresh: a connection for each message
//   login   --messages N      connect to logout
//   notify  --messages N      250 → EXISTS in an IDLE session, one at a time
//   command [--command "UID FETCH 1:* (FLAGS)"]…   SELECT INBOX, then each one, timed
//   hold    --connections N [--tls]                opens idle sessions, prints "ready", waits
//   fill    --mailboxes N --messages N [--first N] fills each mailbox by APPEND and COPY
// Where it prints a word alone ("begin", "ready") it waits for a line on standard input.

#include <cstdlib>
#include <map>

#include "tests/bench/load/modes.h"

namespace posthorn::load {
namespace {

Options Parse(int argc, char** argv) {
  Options options;
  options.mode = argc > 1 ? argv[1] : "";
  const std::map<std::string, uint64_t*> numbers = {
      {"--messages", &options.messages},   {"--senders", &options.senders},
      {"--mailboxes", &options.mailboxes}, {"--size", &options.size},
      {"--first", &options.first},         {"--connections", &options.connections}};
  const std::map<std::string, std::string*> texts = {
      {"--host", &options.host}, {"--domain", &options.domain}, {"--password", &options.password}};
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--fresh") {
      options.fresh = true;
    } else if (name == "--tls") {
      options.tls = true;
    } else if (i + 1 == argc) {
      Die(base::Invalid(name), "option");
    } else if (numbers.contains(name)) {
      *numbers.at(name) = std::strtoull(argv[++i], nullptr, 10);
    } else if (texts.contains(name)) {
      *texts.at(name) = argv[++i];
    } else if (name == "--command") {
      options.commands.emplace_back(argv[++i]);
    } else if (name == "--smtp" || name == "--imap") {
      (name == "--smtp" ? options.smtp : options.imap) =
          static_cast<uint16_t>(std::atoi(argv[++i]));
    } else {
      Die(base::Invalid(name), "option");
    }
  }
  if (options.mailboxes == 0) Die(base::Invalid("--mailboxes 0"), "option");
  return options;
}

}  // namespace
}  // namespace posthorn::load

int main(int argc, char** argv) {
  using namespace posthorn::load;
  const Options options = Parse(argc, argv);
  posthorn::net::Loop loop;
  Shared shared{loop, options};
  if (options.mode == "deliver") {
    Deliver(shared);
    return 0;
  }
  if (options.mode == "fill") {
    Fill(shared);
    return 0;
  }
  if (options.mode == "login") {
    loop.Spawn("login", LoginLoop(&shared));
  } else if (options.mode == "notify") {
    loop.Spawn("notify", NotifyLoop(&shared));
  } else if (options.mode == "command") {
    loop.Spawn("command", RunCommands(&shared));
  } else if (options.mode == "hold") {
    loop.Spawn("hold", HoldIdle(&shared));
  } else {
    Die(posthorn::base::Invalid(options.mode), "mode");
  }
  loop.Run();
  return 0;
}
