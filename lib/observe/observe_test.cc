#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/strings.h"
#include "lib/observe/health_server.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

int Connect(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

std::string Ask(uint16_t port, const std::string& request) {
  const int fd = Connect(port);
  send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char piece[4096];
  for (ssize_t n = recv(fd, piece, sizeof(piece), 0); n > 0; n = recv(fd, piece, sizeof(piece), 0))
    answer.append(piece, static_cast<size_t>(n));
  close(fd);
  return answer;
}

std::string HttpGet(uint16_t port, const std::string& path) {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

TEST(Metrics, SameNameAndLabelsAreOneObject) {
  Counter* first = NewCounter("posthorn_test_total", "A test", {{"kind", "a"}});
  EXPECT_EQ(first, NewCounter("posthorn_test_total", "A test", {{"kind", "a"}}));
  EXPECT_NE(first, NewCounter("posthorn_test_total", "A test", {{"kind", "b"}}));
  first->Add(3);
  EXPECT_THAT(MetricsText(), HasSubstr("posthorn_test_total{kind=\"a\"} 3"));
}

TEST(Metrics, CallbacksOfOneNameAreOneFamily) {
  NewGaugeCallback("posthorn_test_bytes", "A test", {{"use", "a"}}, [] { return 1.0; });
  NewGaugeCallback("posthorn_test_bytes", "A test", {{"use", "b"}}, [] { return 2.0; });
  NewGaugeCallback("posthorn_test_bytes", "A test", {{"use", "a"}}, [] { return 3.0; });
  NewCounterCallback("posthorn_test_seconds_total", "A test", [] { return 4.0; });
  const std::string text = MetricsText();
  EXPECT_THAT(text, HasSubstr("# TYPE posthorn_test_bytes gauge\n"
                              "posthorn_test_bytes{use=\"a\"} 3\n"
                              "posthorn_test_bytes{use=\"b\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE posthorn_test_seconds_total counter\n"
                              "posthorn_test_seconds_total 4\n"));
}

TEST(HealthServer, AnswersAllThreePages) {
  std::string missing = "no configuration yet";
  auto server = HealthServer::Start("127.0.0.1:0", [&] { return missing; }, [] { return true; });
  ASSERT_TRUE(server.ok());
  NewGaugeCallback("posthorn_test_depth", "A test", [] { return 7.0; });
  EXPECT_THAT(HttpGet((*server)->port(), "/livez"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet((*server)->port(), "/readyz"), HasSubstr("no configuration yet"));
  missing.clear();
  EXPECT_THAT(HttpGet((*server)->port(), "/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet((*server)->port(), "/metrics"), HasSubstr("posthorn_test_depth 7"));
}

TEST(HealthServer, NonsenseGetsAnErrorAndHarmsNobody) {
  auto server = HealthServer::Start("127.0.0.1:0", [] { return ""; }, [] { return true; });
  ASSERT_TRUE(server.ok());
  const uint16_t port = (*server)->port();
  EXPECT_THAT(HttpGet(port, "/nonsense"), HasSubstr("404 Not Found"));
  EXPECT_THAT(HttpGet(port, "/livez/more"), HasSubstr("404 Not Found"));
  EXPECT_THAT(HttpGet(port, "/livez?verbose=1"), HasSubstr("200 OK"));
  EXPECT_THAT(Ask(port, "\x16\x03\x01 what\r\n\r\n"), HasSubstr("405 "));
  EXPECT_THAT(Ask(port, "GET /" + std::string(100000, 'x')), AnyOf(HasSubstr("431 "), IsEmpty()));
  EXPECT_THAT(HttpGet(port, "/readyz"), HasSubstr("200 OK"));
}

TEST(HealthServer, SilentClientsKeepNobodyWaiting) {
  auto server = HealthServer::Start("127.0.0.1:0", [] { return ""; }, [] { return true; });
  ASSERT_TRUE(server.ok());
  std::vector<int> silent(20);
  for (int& fd : silent) fd = Connect((*server)->port());
  EXPECT_THAT(HttpGet((*server)->port(), "/livez"), HasSubstr("200 OK"));
  server->reset();  // does not wait for them either
  for (const int fd : silent) close(fd);
}

TEST(HealthServer, ATakenPortIsAnError) {
  auto first = HealthServer::Start("127.0.0.1:0", [] { return ""; }, [] { return true; });
  ASSERT_TRUE(first.ok());
  auto second = HealthServer::Start(base::StrCat("127.0.0.1:", (*first)->port()), [] { return ""; },
                                    [] { return true; });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

TEST(Log, ValuesCannotBreakTheLine) {
  SetUpLog("test", Level::kInfo);
  ::testing::internal::CaptureStderr();
  Info("test.event", {{"plain", "word"}, {"hostile", "a\r\nb \"c\""}, {"n", 5}});
  Debug("test.hidden");
  const std::string line = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(line, HasSubstr(R"(info test test.event plain=word hostile="a\x0d\x0ab \"c\"" n=5)"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

}  // namespace
}  // namespace posthorn::observe
