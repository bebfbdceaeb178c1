#include "admin-service/service/companions.h"

#include <chrono>

#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/admin.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::admin_service {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRepeat{2000};
constexpr milliseconds kMeetLimit{2000};
constexpr milliseconds kLastWordLimit{500};

int64_t NowMs() { return base::MonotonicMicros() / 1000; }

net::Task<absl::StatusOr<store::v1::MeetReply>> Say(rpc::Client& store, std::string instance,
                                                    admin::v1::AdminWord word, milliseconds limit) {
  store::v1::MeetRequest request;
  request.set_instance(std::move(instance));
  request.set_word(word.SerializeAsString());
  rpc::CallOptions options;
  options.timeout = limit;
  options.account = base::kLanes;  // the owner of lane 0
  return store.Call(rpc::store::kStoreAdminMeet, std::move(options), std::move(request));
}

}  // namespace

Companions::Companions(net::Loop& loop, rpc::Client& store,
                       std::function<admin::v1::ProcessReport()> describe)
    : loop_(loop), store_(store), describe_(std::move(describe)) {}
Companions::~Companions() { *alive_ = false; }

void Companions::Register(rpc::Server& server, const std::vector<std::string>& processes) {
  using admin::v1::ProcessReport;
  using admin::v1::ReportReply;
  const std::function<net::Task<absl::StatusOr<ReportReply>>(const rpc::CallContext&,
                                                             ProcessReport)>
      take = [this](const rpc::CallContext& context, ProcessReport report) {
        return Take(context.role, std::move(report));
      };
  server.Handle<ProcessReport, ReportReply>(rpc::admin::kConfigReport, processes, take);
}

net::Task<absl::StatusOr<admin::v1::ReportReply>> Companions::Take(
    std::string role, admin::v1::ProcessReport report) {
  if (report.process() != role) {
    co_return base::Denied(
        base::StrCat("\"", role, "\" may not report as \"", report.process(), "\""));
  }
  reports_.Take(std::move(report), NowMs());
  co_return admin::v1::ReportReply();
}

void Companions::Start() { loop_.Spawn("admin.meet", Run(this, alive_)); }

net::Task<void> Companions::Run(Companions* self, std::shared_ptr<bool> alive) {
  net::Loop& loop = self->loop_;
  while (*alive && !self->left_) {
    (void)co_await self->Meet();
    co_await net::Sleep(loop, kRepeat);
  }
}

net::Task<absl::Status> Companions::Meet() {
  const std::shared_ptr<bool> alive = alive_;
  admin::v1::ProcessReport self = describe_();
  const std::string instance = self.instance();
  reports_.Take(std::move(self), NowMs());
  const auto met = co_await Say(store_, instance, reports_.Word(NowMs()), kMeetLimit);
  if (!*alive) co_return base::Unavailable("admin-service ends");
  if (met.ok()) reports_.TakeWords(*met, NowMs());
  co_return met.status();
}

net::Task<void> Companions::Leave() {
  left_ = true;
  admin::v1::ProcessReport self = describe_();
  self.set_left(true);
  const std::string instance = self.instance();
  reports_.Take(std::move(self), NowMs());
  (void)co_await Say(store_, instance, reports_.Word(NowMs()), kLastWordLimit);
}

std::vector<Reports::Heard> Companions::All() const { return reports_.All(NowMs()); }

}  // namespace posthorn::admin_service
