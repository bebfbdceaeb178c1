#include "lib/process/reporter.h"

#include <utility>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::process {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRepeat{2000};
constexpr milliseconds kLimit{2000};
// An admin-service of the release before hears no reports; it may be replaced by a newer one.
constexpr milliseconds kUnheard{30000};

}  // namespace

struct Reporter::State {
  State(net::Loop& l, rpc::Client& a, std::function<admin::v1::ProcessReport()> d)
      : loop(l), admin(a), describe(std::move(d)), wake(l) {}
  net::Task<absl::Status> Say(admin::v1::ProcessReport report, milliseconds limit) {
    rpc::CallOptions options;
    options.timeout = limit;
    const auto reply =
        co_await admin.Call(rpc::admin::kConfigReport, std::move(options), std::move(report));
    co_return reply.status();
  }
  net::Loop& loop;
  rpc::Client& admin;
  const std::function<admin::v1::ProcessReport()> describe;
  net::Signal wake;
  bool news = false;
  bool stopped = false;
};

Reporter::Reporter(net::Loop& loop, rpc::Client& admin,
                   std::function<admin::v1::ProcessReport()> describe)
    : state_(std::make_shared<State>(loop, admin, std::move(describe))) {}
Reporter::~Reporter() { Stop(); }

void Reporter::Start() { state_->loop.Spawn("process.report", Run(state_)); }

void Reporter::Now() {
  state_->news = true;
  state_->wake.NotifyAll();
}

void Reporter::Stop() {
  state_->stopped = true;
  state_->wake.NotifyAll();
}

net::Task<void> Reporter::Run(std::shared_ptr<State> state) {
  while (!state->stopped) {
    state->news = false;
    const absl::Status said = co_await state->Say(state->describe(), kLimit);
    const bool unheard = absl::IsUnimplemented(said);
    if (unheard && !state->stopped) co_await net::Sleep(state->loop, kUnheard);
    if (!state->news && !state->stopped && !unheard) (void)co_await state->wake.WaitFor(kRepeat);
  }
}

net::Task<void> Reporter::Leave(milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  if (state->stopped) co_return;
  admin::v1::ProcessReport report = state->describe();
  report.set_left(true);
  Stop();
  const absl::Status said = co_await state->Say(std::move(report), limit);
  if (!said.ok()) observe::Debug("process.left_unheard", {{"reason", base::Message(said)}});
}

}  // namespace posthorn::process
