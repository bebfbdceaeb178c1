#pragma once

// A process from start to stop: health port, configuration, setup, readiness, drain. On the
// service's loop.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/process/config_watch.h"
#include "lib/process/event_shipper.h"
#include "lib/process/process_metrics.h"
#include "lib/process/reporter.h"
#include "lib/process/service.h"
#include "lib/process/version.h"

namespace posthorn::observe {
class HealthServer;
}

namespace posthorn::process {

class Life {
 public:
  Life(net::Loop& loop, const Service::Options& options, const Flags& flags, Service& service);
  ~Life();

  net::Task<void> Start(std::function<net::Task<absl::Status>()> setup);
  // The first call begins the drain, the second ends it.
  void Stop();
  int exit_code() const { return exit_code_; }

  net::Drain& drain() { return drain_; }
  std::shared_ptr<const config::Snapshot> config() const;
  void OnConfig(std::function<void(const config::Snapshot&)> changed);
  void Record(common::v1::Event event);
  void AddReadiness(std::function<std::string()> missing) {
    readiness_.push_back(std::move(missing));
  }
  admin::v1::ProcessReport Describe() const;
  void AddReport(std::function<void(admin::v1::ProcessReport&)> add) {
    reports_.push_back(std::move(add));
  }
  // The drain begins, and the exit code will be 1.
  void End(const absl::Status& why);
  void OnStop(std::function<net::Task<void>()> work) { at_stop_.push_back(std::move(work)); }

 private:
  bool Watches() const { return options_.process != "admin-service"; }
  void StartWatch();
  // Where the health port answers, in others' words; empty: there is none.
  std::string HealthAddress() const;
  std::string Instance() const;
  void SetUpTracing(const config::Snapshot& snapshot);
  absl::Status StartHealth();
  net::Task<bool> WaitForConfig();
  absl::Status StartServer();
  net::Task<absl::Status> SendEvents(store::v1::RecordEventsRequest request);
  void Fail(std::string_view step, const absl::Status& status);
  net::Task<void> Drain();
  void Tick();
  // What is missing for readiness, "" when nothing; on the loop.
  std::string Missing() const;
  // The same, and whoever should know hears at once that it has changed.
  std::string TellReadiness();
  // The same from any other thread.
  std::string MissingFromOutside();

  net::Loop& loop_;
  const Service::Options& options_;
  const Flags& flags_;
  Service& service_;
  net::Drain drain_;
  std::shared_ptr<const config::Snapshot> defaults_ = std::make_shared<config::Snapshot>();
  std::optional<ConfigWatch> watch_;
  std::optional<Reporter> reporter_;
  std::vector<std::function<void(admin::v1::ProcessReport&)>> reports_;
  std::optional<EventShipper> events_;
  std::unique_ptr<observe::HealthServer> health_;
  std::vector<std::function<std::string()>> readiness_;
  std::vector<std::function<net::Task<void>()>> at_stop_;
  // OnConfig calls that came before the watch began.
  std::vector<std::function<void(const config::Snapshot&)>> early_;
  std::string phase_ = "starting";  // empty once it runs
  bool serves_ = false;
  bool ready_ = false;  // when it was looked at last
  bool was_ready_ = false;
  const int64_t began_ms_;  // of the monotonic clock
  bool stopping_ = false;
  bool cut_short_ = false;
  int exit_code_ = 0;
  std::unique_ptr<net::Loop::Timer> tick_;
  int64_t tick_due_ = 0;  // milliseconds of the monotonic clock
  const LoopMetrics metrics_;
  // Milliseconds of the monotonic clock at the last tick, for /livez.
  std::atomic<int64_t> turned_{0};
};

}  // namespace posthorn::process
