#include "lib/rpc/call_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(CallErrors, AreCountedByMethodAndCode) {
  CountClientError("/x.Y/Z", base::Unavailable("away"));
  CountClientError("/x.Y/Z", base::Unavailable("away"));
  CountServerError("/x.Y/Z", absl::StatusCode::kInternal);
  const std::string text = observe::MetricsText();
  EXPECT_THAT(
      text,
      HasSubstr("posthorn_rpc_client_errors_total{code=\"UNAVAILABLE\",method=\"/x.Y/Z\"} 2"));
  EXPECT_THAT(text,
              HasSubstr("posthorn_rpc_server_errors_total{code=\"INTERNAL\",method=\"/x.Y/Z\"} 1"));
}

TEST(CallErrors, WhatTheCallerGaveUpIsNone) {
  CountClientError("/x.Y/GivenUp", absl::OkStatus());
  CountClientError("/x.Y/GivenUp", base::Error(absl::StatusCode::kCancelled, "cancelled"));
  EXPECT_THAT(observe::MetricsText(), Not(HasSubstr("GivenUp")));
}

}  // namespace
}  // namespace posthorn::rpc
