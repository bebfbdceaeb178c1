#pragma once

// What POP3 sessions count; all children are made at once.

#include <array>

#include "lib/gateway/session_count.h"
#include "lib/observe/metrics.h"
#include "pop3-gateway/protocol/command.h"

namespace posthorn::pop3_gateway {

class Pop3Metrics {
 public:
  static const Pop3Metrics& Get();

  // Verb::kUnknown: greeting, unknown commands, time-outs.
  void CountOk(Verb answers) const;
  void CountErr(Verb answers) const;

  gateway::SessionMetrics sessions{"pop3"};
  observe::Counter* retrieved;
  observe::Counter* removed;

 private:
  Pop3Metrics();
  static constexpr size_t kVerbs = static_cast<size_t>(Verb::kUnknown) + 1;
  std::array<observe::Counter*, kVerbs> ok_;
  std::array<observe::Counter*, kVerbs> err_;
};

}  // namespace posthorn::pop3_gateway
