#include "lib/net/connection.h"

#include <gtest/gtest.h>

#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;
using testing::RunTask;
using testing::ScriptPeer;

constexpr milliseconds kLong{10000};

std::string Show(const absl::Status& status) {
  return std::string(absl::StatusCodeToString(status.code()));
}
std::string Show(const absl::StatusOr<std::string_view>& line) {
  return line.ok() ? std::string(*line) : Show(line.status());
}

// Each line or error, until the end of the stream.
Task<std::vector<std::string>> AllLines(Connection* connection, size_t max) {
  std::vector<std::string> lines;
  while (true) {
    const auto line = co_await connection->ReadLine(max, kLong);
    lines.push_back(Show(line));
    if (absl::IsOutOfRange(line.status()) || absl::IsUnavailable(line.status())) co_return lines;
  }
}

struct LinesCase {
  std::string input;
  std::vector<std::string> lines;
};

class Chunks : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Connection, Chunks, ::testing::Values(1, 7, 0));

TEST_P(Chunks, ReadLineGivesLinesWithoutTheirEnd) {
  const LinesCase cases[] = {
      {"EHLO x\r\nQUIT\r\n", {"EHLO x", "QUIT", "OUT_OF_RANGE"}},
      {"\r\n\r\n", {"", "", "OUT_OF_RANGE"}},
      {"bare\nlf\r\nbare\rcr\r\n\r\r\n", {"bare\nlf", "bare\rcr", "\r", "OUT_OF_RANGE"}},
      {"half", {"UNAVAILABLE"}},
      {"half\r", {"UNAVAILABLE"}},
      {"", {"OUT_OF_RANGE"}},
      {"1234567890\r\nx\r\n", {"1234567890", "x", "OUT_OF_RANGE"}},
      {"12345678901\r\nx\r\n", {"RESOURCE_EXHAUSTED", "x", "OUT_OF_RANGE"}},
      {"12345678901234567890\r1\n\r\r\nx\r\n", {"RESOURCE_EXHAUSTED", "x", "OUT_OF_RANGE"}},
      {"12345678901\r\n12345678901\r\nx\r\n",
       {"RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "x", "OUT_OF_RANGE"}},
      {"12345678901234", {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}},
  };
  for (const auto& c : cases) {
    Loop loop;
    ScriptPeer peer(loop, GetParam());
    const auto connection = peer.TakeConnection();
    peer.Send(c.input);
    peer.HalfClose();
    EXPECT_EQ(RunTask(loop, AllLines(connection.get(), 10)), c.lines) << c.input;
  }
}

TEST(Connection, OverLongLineTakesLittleMemory) {
  Loop loop;
  ScriptPeer peer(loop, 5000);
  const auto connection = peer.TakeConnection();
  peer.Send(std::string(1000000, 'a') + "\r\nQUIT\r\n");
  peer.HalfClose();
  const std::vector<std::string> expected{"RESOURCE_EXHAUSTED", "QUIT", "OUT_OF_RANGE"};
  EXPECT_EQ(RunTask(loop, AllLines(connection.get(), 512)), expected);
  EXPECT_LE(connection->buffered().size(), 65536u);
}

Task<std::string> PipelineStory(Connection* connection) {
  std::string story;
  story += Show(co_await connection->ReadLine(100, kLong));
  story += connection->HasLine() ? " more" : " last";
  story += " " + Show(co_await connection->ReadLine(100, kLong));
  story += connection->HasLine() ? " more" : " last";
  story += " " + (co_await connection->ReadExactly(5, kLong)).value_or("error");
  story += " [" + std::string(connection->buffered()) + "]";
  connection->Consume(2);
  story += " [" + std::string(connection->buffered()) + "]";
  co_return story;
}

TEST(Connection, HasLineSeesOnlyWholeLines) {
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  peer.Send("one\r\ntwo\r\n12345678");
  EXPECT_EQ(RunTask(loop, PipelineStory(connection.get())), "one more two last 12345 [678] [8]");
}

Task<absl::Status> Fill(Connection* connection, milliseconds limit) {
  return connection->Fill(limit);
}
Task<absl::Status> FillMore(Connection* connection) { return connection->FillMore(kLong); }

TEST(Connection, BuffersAtMost64KiB) {
  Loop loop;
  ScriptPeer peer(loop, 1000);
  const auto connection = peer.TakeConnection();
  peer.Send(std::string(200000, 'a'));
  absl::Status status;
  while (status.ok()) status = RunTask(loop, FillMore(connection.get()));
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(connection->buffered().size(), 65536u);
  EXPECT_TRUE(RunTask(loop, Fill(connection.get(), kLong)).ok());
}

TEST(Connection, WaitEndsAtItsLimitAndConsumesNothing) {
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  peer.Send("par");
  const auto late = RunTask(loop, connection->ReadLine(100, milliseconds(5)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late.status()));
  peer.Send("tial\r\n");
  EXPECT_EQ(RunTask(loop, connection->ReadLine(100, kLong)).value(), "partial");
}

TEST(Connection, FlushFailsWhenThePeerDoesNotRead) {
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  connection->Append("220 hello\r\n");
  EXPECT_TRUE(RunTask(loop, connection->Flush(kLong)).ok());
  peer.StopReading();
  connection->Append("250 ok\r\n");
  EXPECT_EQ(connection->pending(), 8u);
  EXPECT_TRUE(absl::IsDeadlineExceeded(RunTask(loop, connection->Flush(milliseconds(5)))));
  peer.ResumeReading();
  connection->Append("250 ok\r\n");
  EXPECT_FALSE(RunTask(loop, connection->Flush(kLong)).ok());
  EXPECT_EQ(peer.received(), "220 hello\r\n");
  EXPECT_EQ(connection->bytes_written(), 11u);
}

Task<void> CloseSoon(Connection* connection) {
  co_await Sleep(connection->loop(), milliseconds(2));
  connection->Close();
}
Task<void> InterruptSoon(Connection* connection) {
  co_await Sleep(connection->loop(), milliseconds(2));
  connection->Interrupt();
}

TEST(Connection, CloseFromAnotherCoroutineEndsTheWait) {
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  loop.Spawn("close", CloseSoon(connection.get()));
  EXPECT_TRUE(absl::IsUnavailable(RunTask(loop, connection->ReadLine(10, kLong)).status()));
  EXPECT_TRUE(absl::IsUnavailable(RunTask(loop, connection->ReadLine(10, kLong)).status()));
}

TEST(Connection, InterruptEndsTheWaitAndLeavesTheConnectionGood) {
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  peer.Send("QU");
  loop.Spawn("interrupt", InterruptSoon(connection.get()));
  EXPECT_TRUE(absl::IsCancelled(RunTask(loop, connection->ReadLine(10, kLong)).status()));
  peer.Send("IT\r\n");
  EXPECT_EQ(RunTask(loop, connection->ReadLine(10, kLong)).value(), "QUIT");
}

TEST(Connection, StartTlsDropsWhatWasBuffered) {  // [RFC3207 4.2]
  Loop loop;
  ScriptPeer peer(loop);
  const auto connection = peer.TakeConnection();
  peer.Send("STARTTLS\r\nMAIL FROM:<injected@example.org>\r\n");
  peer.SendAfterTls("EHLO x\r\n");
  EXPECT_EQ(RunTask(loop, connection->ReadLine(100, kLong)).value(), "STARTTLS");
  EXPECT_TRUE(RunTask(loop, connection->StartTls(nullptr, kLong)).ok());
  EXPECT_NE(connection->tls(), nullptr);
  EXPECT_EQ(RunTask(loop, connection->ReadLine(100, kLong)).value(), "EHLO x");
}

TEST_P(Chunks, RefusedProxyHeaderClosesTheConnection) {
  Loop loop;
  ScriptPeer peer(loop, GetParam());
  const auto connection = peer.TakeConnection();
  connection->RefuseProxyHeader();
  peer.Send("PROXY UNKNOWN\r\nEHLO x\r\n");
  EXPECT_TRUE(absl::IsUnavailable(RunTask(loop, connection->ReadLine(100, kLong)).status()));
  EXPECT_TRUE(peer.closed());
}

}  // namespace
}  // namespace posthorn::net
