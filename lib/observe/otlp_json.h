#pragma once

// OpenTelemetry spans as the JSON of OTLP/HTTP [opentelemetry.io/docs/specs/otlp]. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace posthorn::observe {

// One finished step of a trace.
struct SpanRecord {
  enum class Kind { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };
  uint64_t trace_high = 0;
  uint64_t trace_low = 0;
  uint64_t span = 0;
  uint64_t parent = 0;  // 0: the trace begins here
  std::string name;
  Kind kind = Kind::kInternal;
  // Microseconds since 1970.
  int64_t start_us = 0;
  int64_t end_us = 0;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::string error;  // empty: it went well
};

// Who sends them.
struct TraceResource {
  std::string service;   // "posthorn-store-service"
  std::string instance;  // this replica's name
  std::string version;
};

// An ExportTraceServiceRequest.
std::string SpansToJson(const TraceResource& resource, const std::vector<SpanRecord>& spans);
// With quotes; bytes that are no UTF-8 become U+FFFD.
std::string JsonString(std::string_view text);

}  // namespace posthorn::observe
