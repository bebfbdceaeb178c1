#pragma once

// Prometheus metrics behind a thin face (prometheus-cpp's headers stay in metrics.cc). Make every
// child once at start-up and keep the pointer: making is slow, counting is an atomic add. Pointers
// live as long as the process. Names: posthorn_<service>_<noun>_<unit|total>; labels only from
// closed sets.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace posthorn::observe {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double by = 1) = 0;
  virtual double value() const = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double to) = 0;
  virtual void Add(double by) = 0;
  virtual double value() const = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// The same name and labels give the same object. Any thread.
Counter* NewCounter(std::string_view name, std::string_view help, Labels labels = {});
Gauge* NewGauge(std::string_view name, std::string_view help, Labels labels = {});
// `buckets` empty: 0.5 ms to 60 s in seconds.
Histogram* NewHistogram(std::string_view name, std::string_view help, Labels labels = {},
                        std::vector<double> buckets = {});
// Read at scrape time, on the health port's thread: `read` must be safe there. It stays for the
// process's life; the same name and labels again replace it.
void NewGaugeCallback(std::string_view name, std::string_view help, std::function<double()> read);
void NewGaugeCallback(std::string_view name, std::string_view help, Labels labels,
                      std::function<double()> read);
// As above, for what only ever grows.
void NewCounterCallback(std::string_view name, std::string_view help, std::function<double()> read);

// Bytes of this process's memory by what they are for ("views", "columns", …): one gauge family for
// all processes, so that one panel shows them.
Gauge* MemoryGauge(std::string_view use);
// Buckets that double from `first` on.
std::vector<double> Doubling(double first, int buckets);

// The text a scrape would get (tests, `posthorn status`).
std::string MetricsText();

}  // namespace posthorn::observe
