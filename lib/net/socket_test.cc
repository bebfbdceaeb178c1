// Connections over real sockets.

#include <gtest/gtest.h>

#include "lib/net/connection.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/testing/free_port.h"
#include "lib/testing/run_task.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;
using testing::RunTask;

constexpr milliseconds kLong{10000};

struct Pair {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> client;
  std::unique_ptr<Connection> server;
};

Task<void> Keep(Pair* pair, Loop* loop, std::unique_ptr<Connection> connection) {
  pair->server = std::move(connection);
  loop->Stop();
  co_return;
}

std::unique_ptr<Pair> Connected(Loop& loop) {
  auto pair = std::make_unique<Pair>();
  pair->listener = Listener::Bind(loop, {.name = "pair", .address = "127.0.0.1"}).value();
  pair->client =
      RunTask(loop, Connect(loop, "127.0.0.1", pair->listener->port(), "127.0.0.3", kLong)).value();
  pair->listener->Start([&loop, p = pair.get()](
                            std::unique_ptr<Connection> c) { return Keep(p, &loop, std::move(c)); },
                        [](Refusal) { return std::string(); });
  loop.Run();
  return pair;
}

TEST(Socket, ConnectBindsAndKnowsBothEnds) {
  Loop loop;
  const auto pair = Connected(loop);
  EXPECT_EQ(pair->client->local().address, "127.0.0.3");
  EXPECT_EQ(pair->server->peer(), pair->client->local());
  EXPECT_EQ(pair->server->local(), pair->client->peer());
}

TEST(Socket, HalfClosedPeerStillGetsTheAnswer) {
  Loop loop;
  const auto pair = Connected(loop);
  pair->client->Append("QUIT\r\n");
  ASSERT_TRUE(RunTask(loop, pair->client->Flush(kLong)).ok());
  pair->client->ShutdownWrite();
  EXPECT_EQ(RunTask(loop, pair->server->ReadLine(100, kLong)).value(), "QUIT");
  EXPECT_TRUE(absl::IsOutOfRange(RunTask(loop, pair->server->ReadLine(100, kLong)).status()));
  pair->server->Append("221 bye\r\n");
  ASSERT_TRUE(RunTask(loop, pair->server->Flush(kLong)).ok());
  EXPECT_EQ(RunTask(loop, pair->client->ReadLine(100, kLong)).value(), "221 bye");
}

TEST(Socket, SlowReaderEndsTheWriteAtItsLimit) {
  Loop loop;
  const auto pair = Connected(loop);
  pair->server->Append(std::string(20000000, 'x'));
  EXPECT_TRUE(absl::IsDeadlineExceeded(RunTask(loop, pair->server->Flush(milliseconds(50)))));
}

TEST(Socket, LastReplyArrivesAlthoughInputWasNotRead) {
  Loop loop;
  const auto pair = Connected(loop);
  pair->client->Append("EHLO x\r\nMAIL\r\n");
  ASSERT_TRUE(RunTask(loop, pair->client->Flush(kLong)).ok());
  EXPECT_EQ(RunTask(loop, pair->server->ReadLine(100, kLong)).value(), "EHLO x");
  pair->client->Append("RCPT\r\n");
  ASSERT_TRUE(RunTask(loop, pair->client->Flush(kLong)).ok());
  pair->server->Append("421 closing\r\n");
  ASSERT_TRUE(RunTask(loop, pair->server->Flush(kLong)).ok());
  pair->server->Close();
  EXPECT_EQ(RunTask(loop, pair->client->ReadLine(100, kLong)).value(), "421 closing");
}

TEST(Socket, ShortLimitAfterALongOneIsKept) {
  Loop loop;
  const auto pair = Connected(loop);
  pair->client->Append("x");
  ASSERT_TRUE(RunTask(loop, pair->client->Flush(kLong)).ok());
  ASSERT_TRUE(RunTask(loop, pair->server->Fill(std::chrono::minutes(5))).ok());
  pair->server->Consume(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(RunTask(loop, pair->server->Fill(milliseconds(10)))));
  }
  pair->client->Append("y");
  ASSERT_TRUE(RunTask(loop, pair->client->Flush(kLong)).ok());
  EXPECT_TRUE(RunTask(loop, pair->server->Fill(kLong)).ok());
}

Task<void> CloseSoon(Connection* connection) {
  co_await Sleep(connection->loop(), milliseconds(5));
  connection->Close();
}
Task<void> InterruptSoon(Connection* connection) {
  co_await Sleep(connection->loop(), milliseconds(5));
  connection->Interrupt();
}

TEST(Socket, CloseAndInterruptEndWaits) {
  Loop loop;
  const auto pair = Connected(loop);
  loop.Spawn("interrupt", InterruptSoon(pair->server.get()));
  EXPECT_TRUE(absl::IsCancelled(RunTask(loop, pair->server->Fill(kLong))));
  pair->server->Interrupt();
  EXPECT_TRUE(absl::IsCancelled(RunTask(loop, pair->server->Fill(kLong))));
  loop.Spawn("close", CloseSoon(pair->server.get()));
  EXPECT_TRUE(absl::IsUnavailable(RunTask(loop, pair->server->Fill(kLong))));
  EXPECT_TRUE(absl::IsOutOfRange(RunTask(loop, pair->client->Fill(kLong))));
}

TEST(Socket, ConnectFailsCleanly) {
  Loop loop;
  const auto port = static_cast<uint16_t>(testing::FreePort());
  const auto refused = RunTask(loop, Connect(loop, "127.0.0.1", port, "", kLong));
  EXPECT_TRUE(absl::IsUnavailable(refused.status()));
  const auto named = RunTask(loop, Connect(loop, "localhost", port, "", kLong));
  EXPECT_TRUE(absl::IsInvalidArgument(named.status()));
}

}  // namespace
}  // namespace posthorn::net
