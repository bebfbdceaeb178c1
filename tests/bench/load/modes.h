#pragma once

// What mailload can do; one coroutine or function a mode. Each prints one JSON object at its end.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::load {

struct Options {
  std::string mode;
  std::string host = "127.0.0.1";
  std::string domain = "bench.test";
  std::string password = "secret";
  std::vector<std::string> commands;
  uint16_t smtp = 0;
  uint16_t imap = 0;
  uint64_t messages = 1000;
  uint64_t senders = 20;
  uint64_t mailboxes = 20;
  uint64_t first = 0;  // number of the first mailbox
  uint64_t size = 4096;
  uint64_t connections = 100;
  bool fresh = false;
  bool tls = false;
  std::string User(uint64_t n) const {
    return base::StrCat("user", first + n % mailboxes, "@", domain);
  }
};

// Ends the program: a load that was refused measures nothing.
[[noreturn]] void Die(const absl::Status& status, const char* where);

// Prints `word` and waits for a line on standard input: the runner reads the servers' clocks in
// between.
void Announce(const char* word);

class Samples {
 public:
  void Add(int64_t micros) { micros_.push_back(micros); }
  size_t size() const { return micros_.size(); }
  // Milliseconds; 0 when there is no sample.
  double Milliseconds(double quantile);

 private:
  std::vector<int64_t> micros_;
};

struct Shared {
  net::Loop& loop;
  const Options& options;
  uint64_t next = 0;
  uint64_t running = 0;
  Samples latency;
  int64_t began = 0;
};

void Deliver(Shared& shared);
net::Task<void> NotifyLoop(Shared* shared);
net::Task<void> LoginLoop(Shared* shared);
net::Task<void> RunCommands(Shared* shared);
net::Task<void> HoldIdle(Shared* shared);
// Fills each mailbox up to `messages` messages by APPEND and COPY.
void Fill(Shared& shared);

}  // namespace posthorn::load
