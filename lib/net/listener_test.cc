#include "lib/net/listener.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>

#include "lib/net/loop.h"
#include "lib/testing/run_task.h"

namespace posthorn::net {
namespace {

using std::chrono::milliseconds;
using testing::RunTask;

constexpr milliseconds kLong{10000};

// Greets with the peer's address, then echoes one line.
Task<void> Greet(std::unique_ptr<Connection> connection) {
  connection->Append("220 " + connection->peer().address + "\r\n");
  if (!(co_await connection->Flush(kLong)).ok()) co_return;
  const auto line = co_await connection->ReadLine(100, kLong);
  if (!line.ok()) co_return;
  connection->Append("250 " + std::string(*line) + "\r\n");
  const auto ignored = co_await connection->Flush(kLong);
}

std::string Word(Refusal refusal) {
  return refusal == Refusal::kTooManyConnections ? "421 too many\r\n" : "421 too many from you\r\n";
}

std::unique_ptr<Listener> Started(Loop& loop, ListenerOptions options) {
  auto listener = Listener::Bind(loop, std::move(options));
  if (!listener.ok()) throw std::runtime_error(std::string(listener.status().ToString()));
  (*listener)->Start(Greet, Word);
  return *std::move(listener);
}

std::unique_ptr<Connection> Dial(Loop& loop, const Listener& listener,
                                 const std::string& from = "") {
  auto connection = RunTask(loop, Connect(loop, "127.0.0.1", listener.port(), from, kLong));
  if (!connection.ok()) throw std::runtime_error(std::string(connection.status().ToString()));
  return *std::move(connection);
}

void Send(Loop& loop, Connection& connection, std::string_view bytes) {
  connection.Append(bytes);
  ASSERT_TRUE(RunTask(loop, connection.Flush(kLong)).ok());
}

std::string Line(Loop& loop, Connection& connection) {
  const auto line = RunTask(loop, connection.ReadLine(200, kLong));
  return line.ok() ? std::string(*line) : "closed";
}

TEST(Listener, ServesIPv4PeersOnTheDualStackPort) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test"});
  const auto client = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *client), "220 127.0.0.1");
  EXPECT_EQ(client->peer().address, "127.0.0.1");
  EXPECT_EQ(listener->sessions(), 1u);
  Send(loop, *client, "hello\r\n");
  EXPECT_EQ(Line(loop, *client), "250 hello");
  EXPECT_EQ(Line(loop, *client), "closed");
  EXPECT_EQ(listener->sessions(), 0u);
}

TEST(Listener, SaysWhenThePortIsTaken) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test", .address = "127.0.0.1"});
  const auto second =
      Listener::Bind(loop, {.name = "second", .address = "127.0.0.1", .port = listener->port()});
  EXPECT_TRUE(absl::IsAlreadyExists(second.status()));
  const auto named = Listener::Bind(loop, {.name = "named", .address = "localhost"});
  EXPECT_TRUE(absl::IsInvalidArgument(named.status()));
}

TEST(Listener, RefusesBeyondMaxConnectionsWithALine) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test", .max_connections = 1});
  auto first = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *first), "220 127.0.0.1");
  const auto second = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *second), "421 too many");
  EXPECT_EQ(Line(loop, *second), "closed");
  ListenerOptions wider{.max_connections = 2};
  listener->SetLimits(wider);
  const auto third = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *third), "220 127.0.0.1");
}

TEST(Listener, LimitsConnectionsOfOneAddress) {
  Loop loop;
  const auto listener =
      Started(loop, {.name = "test", .max_per_address = 1, .never_limited = {"127.0.0.9/32"}});
  const auto first = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *first), "220 127.0.0.1");
  const auto second = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *second), "421 too many from you");
  EXPECT_EQ(Line(loop, *second), "closed");
  const auto other = Dial(loop, *listener, "127.0.0.2");
  EXPECT_EQ(Line(loop, *other), "220 127.0.0.2");
  const auto exempt = Dial(loop, *listener, "127.0.0.9");
  EXPECT_EQ(Line(loop, *exempt), "220 127.0.0.9");
  const auto exempt_again = Dial(loop, *listener, "127.0.0.9");
  EXPECT_EQ(Line(loop, *exempt_again), "220 127.0.0.9");
}

TEST(Listener, TakesTheAnnouncedAddressAndCountsIt) {
  Loop loop;
  const auto listener =
      Started(loop, {.name = "test", .proxy_from = {"127.0.0.1"}, .max_per_address = 1});
  const std::string header = "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n";
  const auto first = Dial(loop, *listener);
  Send(loop, *first, header + "earl");
  EXPECT_EQ(Line(loop, *first), "220 192.0.2.1");
  const auto second = Dial(loop, *listener);
  Send(loop, *second, header);
  EXPECT_EQ(Line(loop, *second), "421 too many from you");
  const auto third = Dial(loop, *listener);
  Send(loop, *third, "PROXY TCP4 192.0.2.2 198.51.100.2 40000 25\r\n");
  EXPECT_EQ(Line(loop, *third), "220 192.0.2.2");
  Send(loop, *first, "y\r\n");
  EXPECT_EQ(Line(loop, *first), "250 early");
}

TEST(Listener, ClosesListedPeersWithoutAHeader) {
  Loop loop;
  const auto listener = Started(
      loop, {.name = "test", .proxy_from = {"127.0.0.1"}, .proxy_timeout = milliseconds(20)});
  const auto silent = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *silent), "closed");
  const auto wrong = Dial(loop, *listener);
  Send(loop, *wrong, "EHLO client.example\r\n");
  EXPECT_EQ(Line(loop, *wrong), "closed");
}

TEST(Listener, ClosesUnlistedPeersThatSendAHeader) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test", .proxy_from = {"192.0.2.0/24"}});
  const auto client = Dial(loop, *listener);
  Send(loop, *client, "PROXY TCP4 192.0.2.1 198.51.100.2 40000 25\r\n");
  EXPECT_EQ(Line(loop, *client), "220 127.0.0.1");
  EXPECT_EQ(Line(loop, *client), "closed");
}

TEST(Listener, StopClosesThePortAndKeepsSessions) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test", .address = "127.0.0.1"});
  const auto client = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *client), "220 127.0.0.1");
  listener->Stop();
  const auto late = RunTask(loop, Connect(loop, "127.0.0.1", listener->port(), "", kLong));
  EXPECT_TRUE(absl::IsUnavailable(late.status()));
  Send(loop, *client, "hello\r\n");
  EXPECT_EQ(Line(loop, *client), "250 hello");
}

TEST(Listener, PausesWhileNoFilesAreLeftAndGoesOnAfterwards) {
  Loop loop;
  const auto listener = Started(loop, {.name = "test"});
  auto client = Dial(loop, *listener);
  EXPECT_EQ(Line(loop, *client), "220 127.0.0.1");
  // Files for the client's side of one more connection, none for the server's.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = dup(0);
  close(lowest_free);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto waiting = Dial(loop, *listener);
  RunTask(loop, Sleep(loop, milliseconds(20)));  // it is not accepted, and nothing ends
  EXPECT_EQ(listener->sessions(), 1u);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(Line(loop, *waiting), "220 127.0.0.1");
}

TEST(Drain, WakesWhoeverStillWaits) {
  Loop loop;
  Drain drain(loop);
  int woken = 0;
  auto kept = drain.OnBegin([&] { ++woken; });
  auto dropped = drain.OnBegin([&] { woken += 100; });
  dropped.reset();
  std::unique_ptr<Drain::Handle> self;
  self = drain.OnBegin([&] {
    ++woken;
    self.reset();
  });
  EXPECT_FALSE(drain.draining());
  drain.Begin();
  drain.Begin();
  EXPECT_TRUE(drain.draining());
  EXPECT_EQ(woken, 2);
  const auto late = drain.OnBegin([&] { ++woken; });
  RunTask(loop, Sleep(loop, milliseconds(1)));
  EXPECT_EQ(woken, 3);
}

}  // namespace
}  // namespace posthorn::net
