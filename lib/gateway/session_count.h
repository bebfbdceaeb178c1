#pragma once

// Open sessions by protocol and encryption. Make the gauges of a protocol once; each session holds
// one SessionCount.

#include <string_view>

#include "lib/observe/metrics.h"

namespace posthorn::gateway {

class SessionMetrics {
 public:
  // "smtp", "submission", "lmtp", "imap", "pop3".
  explicit SessionMetrics(std::string_view protocol);

 private:
  friend class SessionCount;
  struct Kind {
    observe::Gauge* open;
    observe::Counter* ended;
  };
  Kind clear_;
  Kind encrypted_;
};

class SessionCount {
 public:
  enum class Transport { kClear, kEncrypted };
  // `metrics` outlives it.
  SessionCount(const SessionMetrics& metrics, Transport transport);
  ~SessionCount();
  SessionCount(const SessionCount&) = delete;
  SessionCount& operator=(const SessionCount&) = delete;
  // STARTTLS or STLS went well.
  void Encrypted();

 private:
  const SessionMetrics& metrics_;
  const SessionMetrics::Kind* kind_;
};

}  // namespace posthorn::gateway
