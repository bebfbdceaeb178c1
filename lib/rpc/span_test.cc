#include "lib/rpc/span.h"

#include <gtest/gtest.h>

#include "lib/observe/otlp.h"

namespace posthorn::rpc {
namespace {

// An endpoint that takes nothing: spans are made all the same.
class SpanTest : public ::testing::Test {
 protected:
  SpanTest() { observe::ConfigureTracing({"http://127.0.0.1:1/", 1, {}}); }
  ~SpanTest() override { observe::ConfigureTracing({}); }
};

TEST_F(SpanTest, OfAnUnsampledTraceIsEmpty) {
  const Span span(TraceContext::NewRoot(false), "step");
  EXPECT_FALSE(span.context().sampled);
  EXPECT_EQ(span.traceparent(), "");
  EXPECT_EQ(Span().traceparent(), "");
}

TEST_F(SpanTest, StaysInItsTraceWithAnIdOfItsOwn) {
  const TraceContext parent = TraceContext::NewRoot(true);
  const Span span(parent, "step");
  EXPECT_EQ(span.context().trace_high, parent.trace_high);
  EXPECT_EQ(span.context().trace_low, parent.trace_low);
  EXPECT_NE(span.context().span, parent.span);
  EXPECT_EQ(TraceContext::Parse(span.traceparent()).span, span.context().span);
}

TEST_F(SpanTest, NewTraceObeysTheSampling) {
  EXPECT_TRUE(Span::NewTrace("root", Span::Kind::kServer).context().sampled);
  observe::ConfigureTracing({"http://127.0.0.1:1/", 0, {}});
  EXPECT_FALSE(Span::NewTrace("root", Span::Kind::kServer).context().sampled);
}

// A process that does not trace hands on what it was given, so that the next one's steps are not
// lost.
TEST_F(SpanTest, WithoutACollectorTheStepAboveIsHandedOn) {
  observe::ConfigureTracing({});
  const TraceContext parent = TraceContext::NewRoot(true);
  const Span span(parent, "step");
  EXPECT_EQ(span.context().span, parent.span);
  EXPECT_TRUE(span.context().sampled);
}

TEST_F(SpanTest, IsHandedOnAfterItsEnd) {
  Span span(TraceContext::NewRoot(true), "step");
  const std::string before = span.traceparent();
  span.End();
  span.Set("late", "is nothing");
  span.End();
  EXPECT_EQ(span.traceparent(), before);
}

}  // namespace
}  // namespace posthorn::rpc
