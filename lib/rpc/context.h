#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace posthorn::rpc {

// W3C trace context [www.w3.org/TR/trace-context 3.2]; all zero: none.
struct TraceContext {
  uint64_t trace_high = 0;
  uint64_t trace_low = 0;
  uint64_t span = 0;
  bool sampled = false;
  static TraceContext NewRoot(bool sampled);
  TraceContext Child() const;
  // "00-<32 hex>-<16 hex>-<2 hex>"; none on malformed text.
  static TraceContext Parse(std::string_view traceparent);
  std::string ToString() const;
};

// What another process's restart may take before whoever waits for it is refused.
inline constexpr std::chrono::milliseconds kRestart{10000};

// What a caller says beside the request.
struct CallOptions {
  std::chrono::milliseconds timeout{30000};
  // How much of it the call waits for its connection.
  std::chrono::milliseconds connect_within{500};
  std::string ticket;
  TraceContext trace;
  // The account the call is about: a client of several store replicas sends it to the one that owns
  // the account's lane. 0: any will do.
  uint64_t account = 0;
};

// What a handler knows beside the request.
struct CallContext {
  std::chrono::steady_clock::time_point deadline;
  std::string ticket;
  TraceContext trace;
  // Who calls: the role of the socket ("smtp-gateway", "imap-gateway", "delivery-queue",
  // "admin-service", "cli", …).
  std::string role;
  // Metadata "authorization", plain gRPC only.
  std::string authorization;
};

}  // namespace posthorn::rpc
