#include "lib/observe/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

namespace posthorn::observe {
namespace {

class CounterFace : public Counter {
 public:
  explicit CounterFace(prometheus::Counter& counter) : counter_(counter) {}
  void Add(double by) override { counter_.Increment(by); }
  double value() const override { return counter_.Value(); }

 private:
  prometheus::Counter& counter_;
};

class GaugeFace : public Gauge {
 public:
  explicit GaugeFace(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double to) override { gauge_.Set(to); }
  void Add(double by) override { gauge_.Increment(by); }
  double value() const override { return gauge_.Value(); }

 private:
  prometheus::Gauge& gauge_;
};

class HistogramFace : public Histogram {
 public:
  explicit HistogramFace(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void Observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

struct Scraped {
  std::string name;
  std::string help;
  prometheus::MetricType type;
  prometheus::Labels labels;
  std::function<double()> read;
};

prometheus::Labels Copy(Labels labels) {
  prometheus::Labels copied;
  for (const auto& [label, value] : labels) copied.emplace(label, value);
  return copied;
}

void Append(const Scraped& scraped, prometheus::MetricFamily& family) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [label, value] : scraped.labels) metric.label.push_back({label, value});
  const double value = scraped.read();
  metric.gauge.value = value;
  metric.counter.value = value;
}

// Everything this process counts. Never destroyed: pointers are handed out for the process's life.
class Metrics {
 public:
  static Metrics& Get() {
    static Metrics* const kMetrics = new Metrics();
    return *kMetrics;
  }

  template <class Face, class Make>
  Face* Find(std::map<std::string, std::unique_ptr<Face>>& faces, std::string_view name,
             Labels labels, Make make) {
    std::string key(name);
    for (const auto& [label, value] : labels)
      key.append("\n").append(label).append("\n").append(value);
    const std::lock_guard lock(mutex_);
    auto& face = faces[key];
    if (!face) face = make(Copy(labels));
    return face.get();
  }

  void AddScraped(Scraped scraped) {
    const std::lock_guard lock(mutex_);
    const auto same = std::ranges::find_if(scraped_, [&](const Scraped& other) {
      return other.name == scraped.name && other.labels == scraped.labels;
    });
    if (same == scraped_.end()) {
      scraped_.push_back(std::move(scraped));
    } else {
      *same = std::move(scraped);
    }
  }

  std::string Text() {
    std::vector<prometheus::MetricFamily> families = registry_.Collect();
    const std::lock_guard lock(mutex_);
    for (const Scraped& scraped : scraped_) {
      auto family = std::ranges::find(families, scraped.name, &prometheus::MetricFamily::name);
      if (family == families.end()) {
        family = families.insert(families.end(), prometheus::MetricFamily());
        family->name = scraped.name;
        family->help = scraped.help;
        family->type = scraped.type;
      }
      Append(scraped, *family);
    }
    return prometheus::TextSerializer().Serialize(families);
  }

  prometheus::Registry registry_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<CounterFace>> counters_;
  std::map<std::string, std::unique_ptr<GaugeFace>> gauges_;
  std::map<std::string, std::unique_ptr<HistogramFace>> histograms_;
  std::vector<Scraped> scraped_;
};

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> kBuckets = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                               0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
  return kBuckets;
}

}  // namespace

Counter* NewCounter(std::string_view name, std::string_view help, Labels labels) {
  Metrics& metrics = Metrics::Get();
  return metrics.Find(metrics.counters_, name, labels, [&](const prometheus::Labels& copied) {
    auto& family = prometheus::BuildCounter()
                       .Name(std::string(name))
                       .Help(std::string(help))
                       .Register(metrics.registry_);
    return std::make_unique<CounterFace>(family.Add(copied));
  });
}

Gauge* NewGauge(std::string_view name, std::string_view help, Labels labels) {
  Metrics& metrics = Metrics::Get();
  return metrics.Find(metrics.gauges_, name, labels, [&](const prometheus::Labels& copied) {
    auto& family = prometheus::BuildGauge()
                       .Name(std::string(name))
                       .Help(std::string(help))
                       .Register(metrics.registry_);
    return std::make_unique<GaugeFace>(family.Add(copied));
  });
}

Histogram* NewHistogram(std::string_view name, std::string_view help, Labels labels,
                        std::vector<double> buckets) {
  Metrics& metrics = Metrics::Get();
  if (buckets.empty()) buckets = LatencyBuckets();
  return metrics.Find(metrics.histograms_, name, labels, [&](const prometheus::Labels& copied) {
    auto& family = prometheus::BuildHistogram()
                       .Name(std::string(name))
                       .Help(std::string(help))
                       .Register(metrics.registry_);
    return std::make_unique<HistogramFace>(
        family.Add(copied, prometheus::Histogram::BucketBoundaries(buckets)));
  });
}

void NewGaugeCallback(std::string_view name, std::string_view help, std::function<double()> read) {
  NewGaugeCallback(name, help, {}, std::move(read));
}

void NewGaugeCallback(std::string_view name, std::string_view help, Labels labels,
                      std::function<double()> read) {
  Metrics::Get().AddScraped({std::string(name), std::string(help), prometheus::MetricType::Gauge,
                             Copy(labels), std::move(read)});
}

void NewCounterCallback(std::string_view name, std::string_view help,
                        std::function<double()> read) {
  Metrics::Get().AddScraped(
      {std::string(name), std::string(help), prometheus::MetricType::Counter, {}, std::move(read)});
}

Gauge* MemoryGauge(std::string_view use) {
  return NewGauge("posthorn_process_memory_bytes", "Memory by what it is for", {{"use", use}});
}

std::vector<double> Doubling(double first, int buckets) {
  std::vector<double> bounds;
  for (int i = 0; i < buckets; ++i, first *= 2) bounds.push_back(first);
  return bounds;
}

std::string MetricsText() { return Metrics::Get().Text(); }

}  // namespace posthorn::observe
