#pragma once

// Sends finished spans to an OpenTelemetry collector (OTLP/HTTP, JSON), on a thread of its own, in
// batches. It never waits for the collector and never slows the mail: what does not fit is dropped
// and counted. Any thread.

#include <chrono>
#include <string>

#include "lib/observe/otlp_json.h"

namespace posthorn::observe {

struct TracingOptions {
  std::string endpoint;  // "http://collector:4318/v1/traces"; empty: no tracing
  double sampling = 0;   // share of the traces that begin here, 0 to 1
  TraceResource resource;
};

// Takes effect at once; the thread starts with the first endpoint.
void ConfigureTracing(TracingOptions options);
// True when a trace that begins now is to be recorded. With sampling 0 it costs one load.
bool SampleTrace();
// Whether spans go anywhere.
bool Tracing();
// Takes a finished span of a sampled trace.
void ExportSpan(SpanRecord span);
// Waits until what was taken so far was sent or given up, at most for `limit`. Blocks: at a
// process's end, and in tests.
void FlushSpans(std::chrono::milliseconds limit);

}  // namespace posthorn::observe
