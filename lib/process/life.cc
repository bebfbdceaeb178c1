#include "lib/process/life.h"

#include <unistd.h>

#include <future>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/health_server.h"
#include "lib/observe/log.h"
#include "lib/observe/otlp.h"
#include "lib/process/notify.h"
#include "lib/rpc/methods/store.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::process {
namespace {

constexpr std::chrono::milliseconds kTick{1000};
constexpr int64_t kDeadLoopMillis = 30000;
// How long a process with a saved configuration waits for a newer one at its start.
constexpr std::chrono::milliseconds kAdminGrace{1500};
constexpr std::chrono::milliseconds kLastEvents{1000};
constexpr std::chrono::milliseconds kLastWord{500};
// How long callers may take to turn to another replica.
constexpr std::chrono::milliseconds kLastCalls{1000};

}  // namespace

std::string_view Version() { return POSTHORN_VERSION; }

Life::Life(net::Loop& loop, const Service::Options& options, const Flags& flags, Service& service)
    : loop_(loop),
      options_(options),
      flags_(flags),
      service_(service),
      drain_(loop),
      began_ms_(base::MonotonicMicros() / 1000) {}

Life::~Life() { health_.reset(); }

net::Task<void> Life::Start(std::function<net::Task<absl::Status>()> setup) {
  ShowProcess(flags_.name, flags_.data);
  Tick();
  events_.emplace(
      loop_, base::StrCat(options_.process, "@", flags_.name),
      [this](store::v1::RecordEventsRequest request) { return SendEvents(std::move(request)); });
  if (absl::Status status = StartHealth(); !status.ok()) {
    Fail("health", status);
    co_return;
  }
  StartWatch();
  if (options_.wants_config && !co_await WaitForConfig()) co_return;
  phase_ = "setting up";
  if (absl::Status status = co_await setup(); !status.ok()) {
    Fail("setup", status);
    co_return;
  }
  if (absl::Status status = StartServer(); !status.ok()) {
    Fail("server", status);
    co_return;
  }
  phase_.clear();
  if (serves_ && !stopping_)
    service_.server().SetServing(false);                        // until the next line knows better
  if (!TellReadiness().empty() && reporter_) reporter_->Now();  // it lacks something else now
  observe::Info("process.ready");
  NotifyManager("READY=1");
}

net::Task<absl::Status> Life::SendEvents(store::v1::RecordEventsRequest request) {
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(10);
  const auto reply = co_await service_.store().Call(rpc::store::kTraceRecord, std::move(options),
                                                    std::move(request));
  co_return reply.status();
}

void Life::Fail(std::string_view step, const absl::Status& status) {
  observe::Error("process.failed", {{"step", step}, {"reason", base::Message(status)}});
  exit_code_ = 1;
  loop_.Stop();
}

absl::Status Life::StartHealth() {
  if (flags_.health.empty()) return absl::OkStatus();
  auto health = observe::HealthServer::Start(
      flags_.health, [this] { return MissingFromOutside(); },
      [this] { return base::MonotonicMicros() / 1000 - turned_ < kDeadLoopMillis; });
  if (!health.ok()) return health.status();
  health_ = *std::move(health);
  return absl::OkStatus();
}

std::string Life::Instance() const { return base::StrCat(flags_.name, "/", getpid()); }

std::string Life::HealthAddress() const {
  std::string health = flags_.health;
  if (health_ && health.ends_with(":0"))
    health = base::StrCat(health.substr(0, health.size() - 1), health_->port());
  // Others cannot ask every address.
  for (const std::string_view all : {"0.0.0.0:", "[::]:"}) {
    if (health.starts_with(all)) health = base::StrCat(flags_.name, ":", health.substr(all.size()));
  }
  return health;
}

void Life::StartWatch() {
  if (!Watches()) return;
  ConfigWatch::Options options;
  options.process = options_.process;
  options.instance = Instance();
  options.health = HealthAddress();
  options.version = std::string(Version());
  if (!flags_.data.empty()) options.file = flags_.data + "/config.snapshot";
  watch_.emplace(loop_, service_.admin(), std::move(options));
  watch_->OnChange([this](const config::Snapshot& snapshot) { SetUpTracing(snapshot); });
  for (auto& changed : early_) watch_->OnChange(std::move(changed));
  early_.clear();
  watch_->Start();
  reporter_.emplace(loop_, service_.admin(), [this] { return Describe(); });
  watch_->OnChange([this](const config::Snapshot&) { reporter_->Now(); });
  reporter_->Start();
}

admin::v1::ProcessReport Life::Describe() const {
  admin::v1::ProcessReport report;
  report.set_process(options_.process);
  report.set_name(flags_.name);
  report.set_instance(Instance());
  report.set_version(std::string(Version()));
  report.set_address(flags_.advertise);
  if (report.address().empty() && !flags_.listen.empty())
    report.set_address(flags_.listen[0].substr(0, flags_.listen[0].find('=')));
  if (report.address().empty()) report.set_address(HealthAddress());
  report.set_config_revision(config()->revision());
  report.set_missing(Missing());
  report.set_draining(stopping_);
  if (!was_ready_)
    report.set_starting_ms(static_cast<uint64_t>(base::MonotonicMicros() / 1000 - began_ms_));
  if (const std::string disk = DiskProblem(flags_.data); !disk.empty()) report.add_problems(disk);
  for (const auto& add : reports_) add(report);
  return report;
}

void Life::SetUpTracing(const config::Snapshot& snapshot) {
  const auto& settings = snapshot.Get<config::v1::Settings>();
  observe::TracingOptions options;
  options.endpoint = settings.otlp_endpoint();
  options.sampling = settings.trace_sampling();
  options.resource = {base::StrCat("posthorn-", options_.process), flags_.name,
                      std::string(Version())};
  observe::ConfigureTracing(std::move(options));
}

net::Task<bool> Life::WaitForConfig() {
  if (!watch_) co_return true;
  phase_ = "waiting for configuration";
  bool told = false;
  std::chrono::milliseconds limit = kAdminGrace;
  while (!co_await watch_->WaitForAdmin(limit)) {
    if (stopping_) co_return false;
    if (watch_->UseSaved()) co_return true;
    if (!told) observe::Warning("config.waiting", {{"for", "admin-service"}});
    told = true;
    limit = std::chrono::milliseconds(5000);
  }
  co_return !stopping_;
}

absl::Status Life::StartServer() {
  if ((options_.caller_roles.empty() || flags_.run.empty()) && flags_.listen.empty())
    return absl::OkStatus();
  RETURN_IF_ERROR(service_.server().Start());
  serves_ = true;
  return absl::OkStatus();
}

std::shared_ptr<const config::Snapshot> Life::config() const {
  const std::shared_ptr<const config::Snapshot> newest = watch_ ? watch_->current() : nullptr;
  return newest ? newest : defaults_;
}

void Life::OnConfig(std::function<void(const config::Snapshot&)> changed) {
  if (watch_) {
    watch_->OnChange(std::move(changed));
  } else {
    early_.push_back(std::move(changed));
  }
}

void Life::Record(common::v1::Event event) {
  if (events_) events_->Add(std::move(event));
}

std::string Life::Missing() const {
  if (stopping_) return "stopping";
  if (!phase_.empty()) return phase_;
  for (const auto& missing : readiness_) {
    if (std::string what = missing(); !what.empty()) return what;
  }
  return {};
}

std::string Life::MissingFromOutside() {
  // Shared: the answer may come after the asker gave up.
  auto promise = std::make_shared<std::promise<std::string>>();
  std::future<std::string> answer = promise->get_future();
  loop_.Post([this, promise] { promise->set_value(TellReadiness()); });
  if (answer.wait_for(std::chrono::seconds(1)) != std::future_status::ready)
    return "the event loop is busy or stopped";
  return answer.get();
}

std::string Life::TellReadiness() {
  std::string missing = Missing();
  const bool ready = missing.empty();
  if (std::exchange(ready_, ready) == ready) return missing;
  was_ready_ = was_ready_ || ready;
  if (serves_ && !stopping_) service_.server().SetServing(ready);
  if (reporter_) reporter_->Now();
  metrics_.ready->Set(ready ? 1 : 0);
  return missing;
}

void Life::Tick() {
  turned_ = base::MonotonicMicros() / 1000;
  TellReadiness();
  if (tick_due_ != 0)
    metrics_.lag->Set(static_cast<double>(std::max<int64_t>(0, turned_ - tick_due_)) / 1000);
  tick_due_ = turned_ + kTick.count();
  tick_ = loop_.After(kTick, [this] { Tick(); });
}

void Life::End(const absl::Status& why) {
  observe::Error("process.failed", {{"step", "run"}, {"reason", base::Message(why)}});
  exit_code_ = 1;
  if (!stopping_) Stop();
}

void Life::Stop() {
  if (stopping_) {
    cut_short_ = true;
    return;
  }
  stopping_ = true;
  observe::Info("process.stopping", {{"sessions", drain_.open()}});
  NotifyManager("STOPPING=1");
  if (reporter_) reporter_->Now();
  if (!phase_.empty() && phase_ != "setting up") {
    loop_.Stop();
    return;
  }
  loop_.Spawn("process.drain", Drain());
}

net::Task<void> Life::Drain() {
  if (serves_) service_.server().SetServing(false);
  drain_.Begin();
  const auto deadline =
      std::chrono::steady_clock::now() +
      std::chrono::seconds(config()->Get<config::v1::Settings>().drain_deadline());
  while (drain_.open() > 0 && !cut_short_ && std::chrono::steady_clock::now() < deadline) {
    co_await net::Sleep(loop_, std::chrono::milliseconds(10));
  }
  if (drain_.open() > 0) observe::Warning("process.drain_cut", {{"sessions", drain_.open()}});
  for (const auto& work : at_stop_) co_await work();
  if (serves_ && !cut_short_) co_await service_.server().Leave(kLastCalls);
  if (reporter_) co_await reporter_->Leave(cut_short_ ? std::chrono::milliseconds(0) : kLastWord);
  observe::FlushSpans(cut_short_ ? std::chrono::milliseconds(0) : kLastEvents);
  if (events_) co_await events_->Flush(cut_short_ ? std::chrono::milliseconds(0) : kLastEvents);
  loop_.Stop();
}

}  // namespace posthorn::process
