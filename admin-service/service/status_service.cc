#include "admin-service/service/status_service.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <string_view>

#include "admin-service/service/health_probe.h"
#include "admin-service/service/status_words.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/methods/store.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kAskLimit{5000};

rpc::CallOptions Limit() {
  rpc::CallOptions options;
  options.timeout = kAskLimit;
  return options;
}

std::string_view GatewayOf(config::v1::Protocol protocol) {
  if (protocol == config::v1::IMAP) return "imap-gateway";
  return protocol == config::v1::POP3 ? "pop3-gateway" : "smtp-gateway";
}

}  // namespace

std::vector<std::string> Needed(std::vector<std::string> processes, const Model& model) {
  std::set<std::string_view> gateways;
  for (const auto& [key, object] : model.objects()) {
    const auto* listener = dynamic_cast<const config::v1::Listener*>(object.value.get());
    if (listener != nullptr && listener->enabled())
      gateways.insert(GatewayOf(listener->protocol()));
  }
  std::erase_if(processes, [&gateways](const std::string& process) {
    return process.ends_with("-gateway") && !gateways.contains(process);
  });
  return processes;
}

void StatusService::NoteRevision() {
  const uint64_t now = parts_.models.current()->revision();
  if (now == revision_ && revision_since_ms_ != 0) return;
  revision_ = now;
  revision_since_ms_ = base::MonotonicMicros() / 1000;
}

net::Task<admin::v1::StatusReply> StatusService::Look() {
  admin::v1::StatusReply reply;
  const absl::Status fresh = co_await parts_.models.Refresh();
  NoteRevision();
  if (!fresh.ok())
    reply.add_problems(base::StrCat("the configuration cannot be read: ", base::Message(fresh)));
  reply.set_revision(revision_);
  (void)co_await parts_.companions.Meet();
  AddStore(co_await parts_.store.Call(rpc::store::kStoreAdminStatus, Limit(),
                                      store::v1::StoreStatusRequest()),
           reply);
  AddHeard(parts_.companions.All(),
           {revision_, base::MonotonicMicros() / 1000 - revision_since_ms_}, reply);
  co_await AddSilentWatchers(reply);
  AddMissing(Needed(parts_.expected, *parts_.models.current()),
             base::MonotonicMicros() / 1000 - began_ms_, reply);
  AddVersions(reply);
  for (const cluster::Queues::Replica& queue : parts_.queue.All()) {
    AddQueue(co_await queue.client->Call(rpc::queue::kQueueStatus, Limit(),
                                         queue::v1::QueueStatusRequest()),
             queue.target, reply);
  }
  AddQueueTotals(reply);
  AddCertificates(reply);
  co_return reply;
}

// Processes of the release before, which say nothing of themselves: their health port does.
net::Task<void> StatusService::AddSilentWatchers(admin::v1::StatusReply& reply) {
  const std::vector<Reports::Heard> heard = parts_.companions.All();
  std::vector<Watcher> watchers = parts_.config.watchers();
  std::erase_if(watchers, [&](const Watcher& watcher) {
    return std::ranges::any_of(heard, [&](const Reports::Heard& known) {
      return known.report.process() == watcher.process &&
             known.report.instance() == watcher.instance;
    });
  });
  for (const Watcher& watcher : watchers) {
    const Health health = co_await ProbeHealth(parts_.loop, watcher.health);
    admin::v1::ProcessStatus& out = *reply.add_processes();
    out.set_process(watcher.process);
    out.set_name(watcher.instance.substr(0, watcher.instance.find('/')));
    out.set_address(watcher.health);
    // It holds a stream to us, so it lives even without a health port.
    out.set_alive(health.alive || watcher.health.empty());
    out.set_ready(health.ready || watcher.health.empty());
    out.set_version(watcher.version);
    out.set_config_revision(watcher.revision);
    out.set_detail(health.detail);
    if (health.certificate_seconds) out.set_certificate_seconds(*health.certificate_seconds);
    if (!out.ready())
      reply.add_problems(base::StrCat(WhoIs(out), " is not ready: ", health.detail));
  }
}

void StatusService::AddCertificates(admin::v1::StatusReply& reply) const {
  for (const auto& [key, object] : parts_.models.current()->objects()) {
    const auto* certificate = dynamic_cast<const config::v1::Certificate*>(object.value.get());
    if (certificate == nullptr) continue;
    const auto chain = certs::ReadCertificates(certificate->chain());
    if (!chain.ok()) continue;
    int64_t expiry = INT64_MAX;
    for (const certs::Certificate& one : *chain) expiry = std::min(expiry, one.not_after);
    AddCertificate(object.name, expiry - base::WallSeconds(), reply);
  }
}

}  // namespace posthorn::admin_service
