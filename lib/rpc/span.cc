#include "lib/rpc/span.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/observe/otlp.h"

namespace posthorn::rpc {

int64_t WallMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Span Span::NewTrace(std::string_view name, Kind kind) {
  Span span;
  if (!observe::SampleTrace()) return span;
  TraceContext root = TraceContext::NewRoot(true);
  root.span = 0;  // nothing is above it
  span.Begin(root, name, kind);
  return span;
}

Span& Span::operator=(Span&& other) noexcept {
  End();
  context_ = other.context_;
  record_ = std::move(other.record_);
  return *this;
}

void Span::Begin(const TraceContext& parent, std::string_view name, Kind kind) {
  context_ = parent;
  if (!observe::Tracing()) return;  // nobody to tell; what is below hangs on the step above
  context_ = parent.Child();
  record_ = std::make_unique<observe::SpanRecord>();
  record_->trace_high = parent.trace_high;
  record_->trace_low = parent.trace_low;
  record_->span = context_.span;
  record_->parent = parent.span;
  record_->name = std::string(name);
  record_->kind = kind;
  record_->start_us = WallMicros();
}

void Span::Set(std::string_view key, std::string_view value) {
  if (record_) record_->attributes.emplace_back(key, value);
}

void Span::Fail(std::string_view why) {
  if (record_) record_->error = why.empty() ? "failed" : std::string(why);
}

void Span::BeganAt(int64_t start_us) {
  if (record_) record_->start_us = start_us;
}

void Span::End() {
  if (!record_) return;
  record_->end_us = std::max(record_->start_us, WallMicros());
  observe::ExportSpan(std::move(*record_));
  record_.reset();
}

}  // namespace posthorn::rpc
