#include "lib/observe/otlp.h"

#include <curl/curl.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "lib/base/clock.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMostWaiting = 8192;
constexpr size_t kMostInBatch = 512;
constexpr milliseconds kGather{200};  // how long a batch gathers
constexpr long kRequestLimitMs = 5000;
constexpr milliseconds kAfterFailure{1000};
constexpr int64_t kComplainEveryMicros = 60'000'000;

Counter* Spans(std::string_view outcome) {
  return NewCounter("posthorn_process_spans_total",
                    "Spans of sampled traces, by what became of them", {{"outcome", outcome}});
}

size_t Discard(char*, size_t size, size_t count, void*) { return size * count; }

// One connection to the collector, kept open between batches.
class Collector {
 public:
  Collector()
      : curl_(curl_easy_init()),
        headers_(curl_slist_append(nullptr, "Content-Type: application/json")) {}
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;
  ~Collector() {
    curl_slist_free_all(headers_);
    curl_easy_cleanup(curl_);
  }

  // "" when the collector took it, or what went wrong.
  std::string Post(const std::string& endpoint, const std::string& body) {
    curl_easy_setopt(curl_, CURLOPT_URL, endpoint.c_str());
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, kRequestLimitMs);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, Discard);
    const CURLcode code = curl_easy_perform(curl_);
    if (code != CURLE_OK) return curl_easy_strerror(code);
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    return status / 100 == 2 ? "" : "HTTP status " + std::to_string(status);
  }

 private:
  CURL* const curl_;
  curl_slist* const headers_;
};

// Lives as long as the process.
class Exporter {
 public:
  static Exporter& Get() {
    static Exporter* const kExporter = new Exporter();
    return *kExporter;
  }

  void Configure(TracingOptions options) {
    const bool on = !options.endpoint.empty();
    const double share = on ? options.sampling : 0;
    const std::lock_guard lock(mutex_);
    if (on && !started_) {
      started_ = true;
      curl_global_init(CURL_GLOBAL_DEFAULT);
      std::thread([this] { Run(); }).detach();
    }
    options_ = std::make_shared<const TracingOptions>(std::move(options));
    threshold_.store(share >= 1 ? UINT32_MAX : static_cast<uint32_t>(share * UINT32_MAX));
    on_.store(on);
  }
  bool on() const { return on_.load(std::memory_order_relaxed); }
  bool Sample() const {
    const uint32_t threshold = threshold_.load(std::memory_order_relaxed);
    if (threshold == 0) return false;
    static thread_local std::minstd_rand random{std::random_device()()};
    return std::uniform_int_distribution<uint32_t>()(random) <= threshold;
  }
  void Add(SpanRecord span) {
    if (!on()) return;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() < kMostWaiting) {
        waiting_.push_back(std::move(span));
        if (waiting_.size() == 1) arrived_.notify_one();
        return;
      }
    }
    dropped_->Add();
  }
  void Flush(milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!started_) return;
    hurry_ = true;
    arrived_.notify_one();
    idle_.wait_for(lock, limit, [this] { return waiting_.empty() && !sending_; });
    hurry_ = false;
  }

 private:
  Exporter() = default;

  void Run() {
    Collector collector;
    for (;;) {
      auto [spans, options] = Take();
      const std::string error =
          options->endpoint.empty()
              ? "no endpoint"
              : collector.Post(options->endpoint, SpansToJson(options->resource, spans));
      (error.empty() ? sent_ : failed_)->Add(static_cast<double>(spans.size()));
      if (!error.empty()) Complain(error);
      std::unique_lock lock(mutex_);
      sending_ = false;
      idle_.notify_all();
      // Meanwhile spans gather, up to the limit.
      if (!error.empty()) arrived_.wait_for(lock, kAfterFailure, [this] { return hurry_; });
    }
  }
  std::pair<std::vector<SpanRecord>, std::shared_ptr<const TracingOptions>> Take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !waiting_.empty(); });
    arrived_.wait_for(lock, kGather, [this] { return hurry_ || waiting_.size() >= kMostInBatch; });
    std::vector<SpanRecord> spans;
    if (waiting_.size() <= kMostInBatch) {
      spans.swap(waiting_);
    } else {
      const auto rest = waiting_.begin() + static_cast<std::ptrdiff_t>(kMostInBatch);
      spans.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(rest));
      waiting_.erase(waiting_.begin(), rest);
    }
    sending_ = true;
    return {std::move(spans), options_};
  }
  void Complain(const std::string& error) {
    const int64_t now = base::MonotonicMicros();
    if (complained_ != 0 && now - complained_ < kComplainEveryMicros) return;
    complained_ = now;
    Warning("trace.export_failed", {{"reason", error}});
  }

  std::atomic<bool> on_{false};
  std::atomic<uint32_t> threshold_{0};
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable idle_;
  std::vector<SpanRecord> waiting_;
  std::shared_ptr<const TracingOptions> options_;
  bool started_ = false;
  bool sending_ = false;
  bool hurry_ = false;
  int64_t complained_ = 0;  // the exporter's thread only
  Counter* const sent_ = Spans("sent");
  Counter* const dropped_ = Spans("dropped");
  Counter* const failed_ = Spans("failed");
};

}  // namespace

void ConfigureTracing(TracingOptions options) { Exporter::Get().Configure(std::move(options)); }
bool SampleTrace() { return Exporter::Get().Sample(); }
bool Tracing() { return Exporter::Get().on(); }
void ExportSpan(SpanRecord span) { Exporter::Get().Add(std::move(span)); }
void FlushSpans(milliseconds limit) { Exporter::Get().Flush(limit); }

}  // namespace posthorn::observe
