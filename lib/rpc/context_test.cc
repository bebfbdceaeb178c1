#include "lib/rpc/context.h"

#include <gtest/gtest.h>

namespace posthorn::rpc {
namespace {

constexpr std::string_view kExample = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContext, TextFormRoundTrips) {  // [trace-context 3.2.2]
  const TraceContext trace = TraceContext::Parse(kExample);
  EXPECT_EQ(trace.trace_high, 0x0af7651916cd43ddU);
  EXPECT_EQ(trace.trace_low, 0x8448eb211c80319cU);
  EXPECT_EQ(trace.span, 0xb7ad6b7169203331U);
  EXPECT_TRUE(trace.sampled);
  EXPECT_EQ(trace.ToString(), kExample);
}

TEST(TraceContext, MalformedTextIsNone) {
  for (const std::string_view text :
       {"", "00-", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) {
    const TraceContext trace = TraceContext::Parse(text);
    EXPECT_EQ(trace.trace_high | trace.trace_low | trace.span, 0U) << text;
  }
}

TEST(TraceContext, LaterVersionsMayHaveMoreFields) {  // [trace-context 3.2.4]
  EXPECT_NE(TraceContext::Parse(std::string("cc") + std::string(kExample.substr(2)) + "-what").span,
            0U);
}

TEST(TraceContext, AChildStaysInTheTraceWithASpanOfItsOwn) {
  const TraceContext root = TraceContext::NewRoot(true);
  const TraceContext child = root.Child();
  EXPECT_EQ(child.trace_high, root.trace_high);
  EXPECT_EQ(child.trace_low, root.trace_low);
  EXPECT_NE(child.span, root.span);
  EXPECT_TRUE(child.sampled);
}

}  // namespace
}  // namespace posthorn::rpc
