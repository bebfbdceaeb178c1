#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

struct Way {
  const char* name;
  bool unix_socket;
  const char* stream;
  Flow flow;
};
class RpcTest : public RpcFixture, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override { StartServer(GetParam().unix_socket); }
};
INSTANTIATE_TEST_SUITE_P(Ways, RpcTest,
                         testing::Values(Way{"UnixPlain", true, "", Flow::kFree},
                                         Way{"UnixHoldBack", true, "s", Flow::kHoldBack},
                                         Way{"UnixFree", true, "s", Flow::kFree},
                                         Way{"TcpPlain", false, "", Flow::kFree},
                                         Way{"TcpHoldBack", false, "s", Flow::kHoldBack}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(RpcTest, OneMessageEachWay) {
  auto client = MakeClient();
  Run([](Client& c, Way way) -> net::Task<void> {
    const auto reply = co_await c.Call(kEcho, way.stream, way.flow, {}, Event("hello"));
    EXPECT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply.ok() ? reply->text() : "", "hello");
  }(*client, GetParam()));
}

TEST_P(RpcTest, StatusesKeepCodeAndText) {
  auto client = MakeClient();
  Run([](Client& c, Way way) -> net::Task<void> {
    for (int code = 1; code <= 16; ++code) {
      common::v1::Event request = Event("why");
      request.set_size(static_cast<uint64_t>(code));
      const auto reply = co_await c.Call(kFail, way.stream, way.flow, {}, request);
      EXPECT_EQ(static_cast<int>(reply.status().code()), code);
      EXPECT_EQ(base::Message(reply.status()), "why");
    }
    const Method<common::v1::Event, common::v1::Event> unknown{"/posthorn.test.Nothing/Here"};
    const auto reply = co_await c.Call(unknown, way.stream, way.flow, {}, Event("x"));
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnimplemented);
  }(*client, GetParam()));
}

// A server that kept calls after their end would soon refuse new ones.
TEST_P(RpcTest, CallsThatEndedLeaveNothingBehind) {
  auto* const running =
      observe::NewGauge("posthorn_rpc_server_running", "Calls whose handlers have not returned");
  auto client = MakeClient();
  Run([](net::Loop& loop, Client& c, Way way, observe::Gauge* gauge) -> net::Task<void> {
    for (int i = 0; i < 100; ++i) {
      const auto reply = co_await c.Call(kEcho, way.stream, way.flow, {}, Event("x"));
      EXPECT_TRUE(reply.ok()) << reply.status();
    }
    // Plain gRPC tells the server of a call's end a moment after its reply.
    while (gauge->value() != 0) co_await net::Sleep(loop, std::chrono::milliseconds(1));
  }(loop(), *client, GetParam(), running));
}

TEST_P(RpcTest, AThousandAtOnce) {
  auto client = MakeClient();
  Run([](net::Loop& loop, Client& c, Way way) -> net::Task<void> {
    auto left = std::make_shared<int>(1000);
    auto done = std::make_shared<net::Promise<bool>>(loop);
    for (int i = 0; i < 1000; ++i) {
      loop.Spawn("test",
                 [](Client& c2, Way way2, int n, std::shared_ptr<int> left2,
                    std::shared_ptr<net::Promise<bool>> done2) -> net::Task<void> {
                   const std::string text = base::StrCat("call ", n);
                   const auto reply =
                       co_await c2.Call(kEcho, way2.stream, way2.flow, {}, Event(text));
                   EXPECT_TRUE(reply.ok()) << reply.status();
                   EXPECT_EQ(reply.ok() ? reply->text() : "", text);
                   if (--*left2 == 0) done2->Set(true);
                 }(c, way, i, left, done));
    }
    co_await done->Get();
  }(loop(), *client, GetParam()));
}

}  // namespace
}  // namespace posthorn::rpc
