#pragma once

// One timed step of a trace, from its construction to End() or its destruction. Steps of a trace
// that is not sampled are empty: they cost a branch, and calls carry nothing.

#include <memory>
#include <string>
#include <string_view>

#include "lib/observe/otlp_json.h"
#include "lib/rpc/context.h"

namespace posthorn::rpc {

class Span {
 public:
  using Kind = observe::SpanRecord::Kind;
  Span() = default;
  // A step below `parent`; empty when that is not sampled.
  Span(const TraceContext& parent, std::string_view name, Kind kind = Kind::kInternal) {
    if (parent.sampled) Begin(parent, name, kind);
  }
  // The first step of a new trace, if it is to be sampled (settings.trace_sampling).
  static Span NewTrace(std::string_view name, Kind kind);
  Span(Span&&) = default;
  Span& operator=(Span&& other) noexcept;
  ~Span() { End(); }

  // What steps below it, here or in other processes, go on with; of an empty span: none.
  const TraceContext& context() const { return context_; }
  // The same as a W3C traceparent; "" of an empty span.
  std::string traceparent() const { return context_.sampled ? context_.ToString() : std::string(); }

  void Set(std::string_view key, std::string_view value);
  // It did not go well.
  void Fail(std::string_view why);
  // For steps whose begin was noted before they were known: microseconds since 1970.
  void BeganAt(int64_t start_us);
  void End();

 private:
  void Begin(const TraceContext& parent, std::string_view name, Kind kind);

  TraceContext context_;
  std::unique_ptr<observe::SpanRecord> record_;  // null: empty, or ended
};

// Microseconds since 1970.
int64_t WallMicros();

}  // namespace posthorn::rpc
