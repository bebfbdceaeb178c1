#include "lib/observe/otlp.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kLimit{20000};

SpanRecord ASpan(std::string name) {
  SpanRecord span;
  span.trace_high = 1;
  span.trace_low = 2;
  span.span = 3;
  span.name = std::move(name);
  return span;
}

TEST(OtlpJson, WritesWhatTheSpecificationAsksFor) {
  SpanRecord span = ASpan("smtp.message");
  span.parent = 0xABC;
  span.kind = SpanRecord::Kind::kServer;
  span.start_us = 1700000000000001;
  span.end_us = 1700000000000999;
  span.attributes = {{"message.id", "01H\"X"}};
  span.error = "451\r\n";
  EXPECT_EQ(SpansToJson({"posthorn-smtp-gateway", "host-1", "0.2"}, {span}),
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
            "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"posthorn-smtp-gateway\"}},"
            "{\"key\":\"service.instance.id\",\"value\":{\"stringValue\":\"host-1\"}},"
            "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"0.2\"}}]},"
            "\"scopeSpans\":[{\"scope\":{\"name\":\"posthorn\"},\"spans\":["
            "{\"traceId\":\"00000000000000010000000000000002\",\"spanId\":\"0000000000000003\","
            "\"parentSpanId\":\"0000000000000abc\",\"name\":\"smtp.message\",\"kind\":2,"
            "\"startTimeUnixNano\":\"1700000000000001000\","
            "\"endTimeUnixNano\":\"1700000000000999000\",\"attributes\":["
            "{\"key\":\"message.id\",\"value\":{\"stringValue\":\"01H\\\"X\"}}],"
            "\"status\":{\"code\":2,\"message\":\"451\\u000d\\u000a\"}}]}]}]}");
}

TEST(OtlpJson, BytesThatAreNoUtf8AreReplaced) {
  EXPECT_EQ(JsonString("a\xC3\xA4\xFFz"), "\"a\xC3\xA4\xEF\xBF\xBDz\"");
  EXPECT_EQ(JsonString("\xE2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(JsonString("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

// Takes connections and keeps what arrives; answers 200 or nothing.
class FakeCollector {
 public:
  enum class Manner { kAnswers, kSilent };
  explicit FakeCollector(Manner manner) : manner_(manner) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    listen(listener_, 8);
    socklen_t size = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~FakeCollector() {
    shutdown(listener_, SHUT_RDWR);
    {
      // The exporter keeps its connection.
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (open_ >= 0) shutdown(open_, SHUT_RDWR);
    }
    thread_.join();
    close(listener_);
  }
  std::string endpoint() const {
    return base::StrCat("http://127.0.0.1:", static_cast<unsigned>(port_), "/v1/traces");
  }
  bool WaitFor(const std::string& text) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return heard_.find(text) != std::string::npos; });
  }

 private:
  void Run() {
    for (int fd = accept(listener_, nullptr, nullptr); fd >= 0;
         fd = accept(listener_, nullptr, nullptr)) {
      if (SetOpen(fd)) Serve(fd);
      SetOpen(-1);
      close(fd);
    }
  }
  // False when it is time to go.
  bool SetOpen(int fd) {
    const std::lock_guard lock(mutex_);
    open_ = fd;
    return !stopping_;
  }
  void Serve(int fd) {
    std::string request;
    char piece[4096];
    for (ssize_t n = recv(fd, piece, sizeof(piece), 0); n > 0;
         n = recv(fd, piece, sizeof(piece), 0)) {
      request.append(piece, static_cast<size_t>(n));
      {
        const std::lock_guard lock(mutex_);
        heard_.append(piece, static_cast<size_t>(n));
      }
      changed_.notify_all();
      if (manner_ == Manner::kSilent) return;
      if (!request.ends_with("]}]}]}")) continue;
      request.clear();
      constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
      send(fd, kOk.data(), kOk.size(), MSG_NOSIGNAL);
    }
  }

  const Manner manner_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string heard_;
  int open_ = -1;
  bool stopping_ = false;
  std::thread thread_;
};

double Count(std::string_view outcome) {
  return NewCounter("posthorn_process_spans_total",
                    "Spans of sampled traces, by what became of them", {{"outcome", outcome}})
      ->value();
}

TEST(Otlp, SendsSpansInBatches) {
  FakeCollector collector(FakeCollector::Manner::kAnswers);
  ConfigureTracing({collector.endpoint(), 1, {"posthorn-test", "a", "0"}});
  const double before = Count("sent");
  for (int i = 0; i < 700; ++i) ExportSpan(ASpan(base::StrCat("step-", i, ".")));
  FlushSpans(kLimit);
  EXPECT_EQ(Count("sent") - before, 700);
  EXPECT_TRUE(collector.WaitFor("step-0."));
  EXPECT_TRUE(collector.WaitFor("step-699."));
  EXPECT_TRUE(collector.WaitFor("POST /v1/traces HTTP/1.1"));
  EXPECT_TRUE(collector.WaitFor("Content-Type: application/json"));
  ConfigureTracing({});
}

TEST(Otlp, WithoutSamplingNothingIsSampledAndNothingIsKept) {
  FakeCollector collector(FakeCollector::Manner::kAnswers);
  ConfigureTracing({collector.endpoint(), 0, {}});
  EXPECT_FALSE(SampleTrace());
  EXPECT_TRUE(Tracing());
  ConfigureTracing({"", 1, {}});
  EXPECT_FALSE(SampleTrace());
  EXPECT_FALSE(Tracing());
  const double before = Count("dropped");
  ExportSpan(ASpan("nobody hears"));
  FlushSpans(kLimit);
  EXPECT_EQ(Count("dropped"), before);
}

TEST(Otlp, SamplesAboutItsShare) {
  ConfigureTracing({"http://127.0.0.1:1/", 0.25, {}});
  int sampled = 0;
  for (int i = 0; i < 20000; ++i) sampled += SampleTrace() ? 1 : 0;
  EXPECT_NEAR(sampled, 5000, 500);
  ConfigureTracing({"http://127.0.0.1:1/", 1, {}});
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(SampleTrace());
  ConfigureTracing({});
}

// Nobody waits for a collector, and memory has a bound.
TEST(Otlp, ACollectorThatHangsCostsSpansOnly) {
  FakeCollector collector(FakeCollector::Manner::kSilent);
  ConfigureTracing({collector.endpoint(), 1, {}});
  const double dropped = Count("dropped");
  const double failed = Count("failed");
  for (int i = 0; i < 20000; ++i) ExportSpan(ASpan("x"));
  EXPECT_GT(Count("dropped") - dropped, 1000);
  ConfigureTracing({});
  FlushSpans(kLimit);
  EXPECT_GT(Count("failed") - failed, 0);
}

}  // namespace
}  // namespace posthorn::observe
