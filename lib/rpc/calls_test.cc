// Calls of many messages, deadlines, cancellation and credit, over both transports.

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

using std::chrono::milliseconds;

constexpr Method<common::v1::Event, common::v1::Event> kChat{"/posthorn.test.Test/Chat"};
constexpr Method<common::v1::Event, common::v1::Event> kCount{"/posthorn.test.Test/Count"};
constexpr Method<common::v1::Event, common::v1::Event> kDeaf{"/posthorn.test.Test/Deaf"};
constexpr Method<common::v1::Event, common::v1::Event> kHang{"/posthorn.test.Test/Hang"};
constexpr Method<common::v1::Event, common::v1::Event> kWho{"/posthorn.test.Test/Who"};

// What the handlers saw; the loop's thread only.
struct Seen {
  explicit Seen(net::Loop& loop) : changed(loop) {}
  int cancelled = 0;
  int arrived = 0;
  int written = 0;
  bool let_go = false;
  absl::Status read_status;
  net::Signal changed;
};

// Answers each message; ends with the client's half close.
net::Task<absl::Status> Chat(ServerCall& call) {
  common::v1::Event event;
  for (;;) {
    absl::StatusOr<bool> more = co_await call.Read(event);
    if (!more.ok()) co_return more.status();
    if (!*more) co_return absl::OkStatus();
    event.set_text("re: " + event.text());
    const absl::Status written = co_await call.Write(event);
    if (!written.ok()) co_return written;
  }
}

// As many answers as `size` says.
net::Task<absl::Status> Count(Seen& seen, ServerCall& call) {
  common::v1::Event request;
  absl::StatusOr<bool> asked = co_await call.Read(request);
  if (!asked.ok()) co_return asked.status();
  common::v1::Event reply;
  for (uint64_t i = 0; i < request.size(); ++i) {
    reply.set_size(i);
    const absl::Status written = co_await call.Write(reply);
    if (!written.ok()) co_return written;
    ++seen.written;
    seen.changed.NotifyAll();
  }
  co_return absl::OkStatus();
}

// Reads nothing until it is let go; then everything.
net::Task<absl::Status> Deaf(Seen& seen, ServerCall& call) {
  while (!seen.let_go) co_await seen.changed.Wait();
  common::v1::Event event;
  for (;;) {
    absl::StatusOr<bool> more = co_await call.Read(event);
    if (!more.ok()) co_return more.status();
    if (!*more) break;
    ++seen.arrived;
  }
  event.set_size(static_cast<uint64_t>(seen.arrived));
  co_return co_await call.Write(event);
}

// Waits for ever in Read.
net::Task<absl::Status> Hang(Seen& seen, ServerCall& call) {
  ++seen.arrived;
  seen.changed.NotifyAll();
  call.OnCancel([&seen] {
    ++seen.cancelled;
    seen.changed.NotifyAll();
  });
  common::v1::Event event;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = co_await call.Read(event);
  seen.read_status = more.status();
  while (!call.cancelled()) co_await seen.changed.Wait();
  if (more.ok()) seen.read_status = (co_await call.Read(event)).status();
  seen.changed.NotifyAll();
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<common::v1::Event>> Who(const CallContext& context, common::v1::Event) {
  common::v1::Event reply;
  reply.set_origin(context.trace.ToString());
  reply.set_message_id(context.ticket);
  reply.set_peer(context.role);
  const auto left = context.deadline - std::chrono::steady_clock::now();
  reply.set_time_ms(static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(left).count()));
  co_return reply;
}

struct Way {
  const char* name;
  const char* stream;
  Flow flow;
};
using E = common::v1::Event;

class CallsTest : public RpcFixture, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    StartServer(
        true,
        [this](Server& server) {
          server.HandleStream<E, E>(kChat, {}, &Chat);
          server.HandleStream<E, E>(kCount, {}, [this](ServerCall& c) { return Count(seen_, c); });
          server.HandleStream<E, E>(kDeaf, {}, [this](ServerCall& c) { return Deaf(seen_, c); });
          server.HandleStream<E, E>(kHang, {}, [this](ServerCall& c) { return Hang(seen_, c); });
          server.Handle<E, E>(kWho, {}, &Who);
        },
        "tester");
    client_ = MakeClient();
  }
  void TearDown() override {
    client_.reset();
    StopServer();
  }
  static std::unique_ptr<RawCall> Start(Client& client, std::string_view path,
                                        CallOptions options) {
    return client.Start(path, GetParam().stream, GetParam().flow, std::move(options));
  }
  Seen seen_{loop()};
  std::shared_ptr<Client> client_;
};
INSTANTIATE_TEST_SUITE_P(Ways, CallsTest,
                         testing::Values(Way{"Plain", "", Flow::kFree},
                                         Way{"HoldBack", "s", Flow::kHoldBack},
                                         Way{"Free", "s", Flow::kFree}),
                         [](const auto& way) { return std::string(way.param.name); });
// Plain gRPC has HTTP/2's flow control instead of ours.
class StreamedCallsTest : public CallsTest {};
INSTANTIATE_TEST_SUITE_P(Ways, StreamedCallsTest,
                         testing::Values(Way{"HoldBack", "s", Flow::kHoldBack},
                                         Way{"Free", "s", Flow::kFree}),
                         [](const auto& way) { return std::string(way.param.name); });

net::Task<void> Talk(std::unique_ptr<RawCall> call) {
  common::v1::Event event;
  for (int i = 0; i < 100; ++i) {
    const std::string text = base::StrCat("message ", i);
    event.set_text(text);
    EXPECT_EQ(co_await call->Write(event), absl::OkStatus());
    const absl::StatusOr<bool> more = co_await call->Read(event);
    EXPECT_TRUE(more.ok() && *more) << more.status();
    EXPECT_EQ(event.text(), "re: " + text);
  }
  call->WritesDone();
  const absl::StatusOr<bool> more = co_await call->Read(event);
  EXPECT_TRUE(more.ok() && !*more) << more.status();
}
TEST_P(CallsTest, MessagesGoBothWaysInOrder) { Run(Talk(Start(*client_, kChat.path, {}))); }

net::Task<void> ReadCounted(std::unique_ptr<RawCall> call, uint64_t count) {
  common::v1::Event event;
  event.set_size(count);
  EXPECT_EQ(co_await call->Write(event), absl::OkStatus());
  call->WritesDone();
  uint64_t read = 0;
  absl::StatusOr<bool> more = co_await call->Read(event);
  while (more.ok() && *more) {
    EXPECT_EQ(event.size(), read++);
    more = co_await call->Read(event);
  }
  EXPECT_TRUE(more.ok()) << more.status();
  EXPECT_EQ(read, count);
}
TEST_P(CallsTest, AServerMayAnswerWithManyMessages) {
  Run(ReadCounted(Start(*client_, kCount.path, {}), 1000));
}

net::Task<void> FillUntilTheWriterWaits(net::Loop& loop, Seen& seen,
                                        std::unique_ptr<RawCall> call) {
  auto written = std::make_shared<int>(0);
  auto done = std::make_shared<net::Promise<bool>>(loop);
  loop.Spawn("test",
             [](RawCall& c, std::shared_ptr<int> n,
                std::shared_ptr<net::Promise<bool>> all) -> net::Task<void> {
               for (; *n < 100; ++*n) EXPECT_EQ(co_await c.Write(Event("x")), absl::OkStatus());
               c.WritesDone();
               all->Set(true);
             }(*call, written, done));
  while (*written < 16) co_await net::Sleep(loop, milliseconds(1));
  // A round trip later nothing more has gone out.
  co_await net::Sleep(loop, milliseconds(30));
  EXPECT_EQ(*written, 16);
  seen.let_go = true;
  seen.changed.NotifyAll();
  co_await done->Get();
  common::v1::Event event;
  const absl::StatusOr<bool> more = co_await call->Read(event);
  EXPECT_TRUE(more.ok() && *more) << more.status();
  EXPECT_EQ(event.size(), 100U);
}
TEST_P(StreamedCallsTest, AWriterWaitsForAReaderThatDoesNotRead) {
  Run(FillUntilTheWriterWaits(loop(), seen_, Start(*client_, kDeaf.path, {})));
}

net::Task<void> ServerWaits(net::Loop& loop, Seen& seen, std::unique_ptr<RawCall> call) {
  common::v1::Event event;
  event.set_size(100);
  EXPECT_EQ(co_await call->Write(event), absl::OkStatus());
  while (seen.written < 16) co_await seen.changed.Wait();
  // Nothing more is written.
  co_await net::Sleep(loop, milliseconds(30));
  EXPECT_EQ(seen.written, 16);
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<bool> more = co_await call->Read(event);
    EXPECT_TRUE(more.ok() && *more) << more.status();
  }
  EXPECT_EQ(seen.written, 100);
}
TEST_P(StreamedCallsTest, AServerWaitsForACallerThatDoesNotRead) {
  Run(ServerWaits(loop(), seen_, Start(*client_, kCount.path, {})));
}

net::Task<void> Expire(net::Loop& loop, Seen& seen, std::unique_ptr<RawCall> call) {
  EXPECT_EQ(co_await call->Write(Event("x")), absl::OkStatus());
  common::v1::Event event;
  const absl::StatusOr<bool> more = co_await call->Read(event);
  EXPECT_EQ(more.status().code(), absl::StatusCode::kDeadlineExceeded) << more.status();
  // The handler hears of it as well.
  while (seen.read_status.ok()) co_await seen.changed.WaitFor(milliseconds(100));
  EXPECT_EQ(seen.cancelled, 1);
  static_cast<void>(loop);
}
TEST_P(CallsTest, ADeadlineEndsBothSides) {
  CallOptions options;
  options.timeout = milliseconds(50);
  Run(Expire(loop(), seen_, Start(*client_, kHang.path, options)));
}

net::Task<void> SingleExpires(Client& client, Way way) {
  CallOptions options;
  options.timeout = milliseconds(50);
  const auto reply = co_await client.Call(kHang, way.stream, way.flow, options, Event("x"));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded) << reply.status();
}
TEST_P(CallsTest, ADeadlineEndsASingleCall) { Run(SingleExpires(*client_, GetParam())); }

net::Task<void> Destroy(Seen& seen, std::unique_ptr<RawCall> call) {
  EXPECT_EQ(co_await call->Write(Event("x")), absl::OkStatus());
  while (seen.arrived == 0) co_await seen.changed.Wait();
  call.reset();
  while (seen.read_status.ok()) co_await seen.changed.Wait();
  EXPECT_EQ(seen.read_status.code(), absl::StatusCode::kCancelled) << seen.read_status;
  while (seen.cancelled == 0) co_await seen.changed.Wait();
}
TEST_P(CallsTest, DestroyingACallCancelsIt) {
  Run(Destroy(seen_, Start(*client_, kHang.path, {})));
}

net::Task<void> AskWho(Client& client, Way way) {
  CallOptions options;
  options.timeout = milliseconds(20000);
  options.ticket = std::string("tic\0ket\xff", 8);
  options.trace = TraceContext::NewRoot(true);
  const auto reply = co_await client.Call(kWho, way.stream, way.flow, options, Event("x"));
  EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->origin(), options.trace.ToString());
  EXPECT_EQ(reply->message_id(), options.ticket);
  EXPECT_EQ(reply->peer(), "tester");
  EXPECT_GT(reply->time_ms(), 15000U);
  EXPECT_LE(reply->time_ms(), 20100U);
}
TEST_P(CallsTest, AHandlerKnowsTraceTicketRoleAndDeadline) { Run(AskWho(*client_, GetParam())); }

net::Task<void> ReadUntilUnavailable(std::unique_ptr<RawCall> call, std::shared_ptr<bool> waits) {
  EXPECT_EQ(co_await call->Write(Event("x")), absl::OkStatus());
  *waits = true;
  common::v1::Event event;
  const absl::StatusOr<bool> more = co_await call->Read(event);
  EXPECT_EQ(more.status().code(), absl::StatusCode::kUnavailable) << more.status();
  *waits = false;
}
// Until the handler has begun and the caller waits in Read.
net::Task<void> UntilSeen(net::Loop& loop, Seen& seen, std::shared_ptr<bool> waits) {
  while (seen.arrived == 0 || !*waits) co_await net::Sleep(loop, milliseconds(1));
}
net::Task<void> UntilFalse(net::Loop& loop, std::shared_ptr<bool> value) {
  while (*value) co_await net::Sleep(loop, milliseconds(1));
}
TEST_P(CallsTest, DestroyingTheClientEndsItsCalls) {
  const auto waits = std::make_shared<bool>(false);
  OnLoop(
      [&] { loop().Spawn("test", ReadUntilUnavailable(Start(*client_, kHang.path, {}), waits)); });
  Run(UntilSeen(loop(), seen_, waits));
  client_.reset();
  Run(UntilFalse(loop(), waits));
}

TEST_P(CallsTest, AStoppingServerEndsItsCalls) {
  const auto waits = std::make_shared<bool>(false);
  OnLoop(
      [&] { loop().Spawn("test", ReadUntilUnavailable(Start(*client_, kHang.path, {}), waits)); });
  Run(UntilSeen(loop(), seen_, waits));
  StopServer(milliseconds(10));
  Run(UntilFalse(loop(), waits));
}

net::Task<void> ManyAtOnce(net::Loop& loop, Client& client, int count) {
  auto left = std::make_shared<int>(count);
  auto done = std::make_shared<net::Promise<bool>>(loop);
  for (int i = 0; i < count; ++i) {
    loop.Spawn("test",
               [](Client& c, std::shared_ptr<int> n,
                  std::shared_ptr<net::Promise<bool>> all) -> net::Task<void> {
                 for (int round = 0; round < 10; ++round) {
                   const auto reply =
                       co_await c.Call(kEcho, "batching", Flow::kHoldBack, {}, Event("x"));
                   EXPECT_TRUE(reply.ok()) << reply.status();
                 }
                 if (--*n == 0) all->Set(true);
               }(client, left, done));
  }
  co_await done->Get();
}
TEST_P(CallsTest, HoldingBackGathersCallsIntoBatches) {
  auto* const batches =
      observe::NewCounter("posthorn_rpc_client_batches_total", "", {{"stream", "batching"}});
  auto* const frames =
      observe::NewCounter("posthorn_rpc_client_frames_total", "", {{"stream", "batching"}});
  const double batches_before = batches->value();
  const double frames_before = frames->value();
  Run(ManyAtOnce(loop(), *client_, 50));
  EXPECT_EQ(frames->value() - frames_before, 500);
  // 50 callers that all wait for their last batch: ten rounds, and not many more.
  EXPECT_LE(batches->value() - batches_before, 15);
}

}  // namespace
}  // namespace posthorn::rpc
