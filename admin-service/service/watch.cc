#include "admin-service/service/watch.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kHeartbeat{2000};

}  // namespace

bool Audience::Hears(const config::Kind& kind) const {
  return !kind.directory &&
         std::find(kind.audience.begin(), kind.audience.end(), process_) != kind.audience.end();
}

admin::v1::WatchReply Audience::Next(const Model& model, uint64_t known_revision) {
  admin::v1::WatchReply reply;
  reply.set_revision(model.revision());
  const bool has_all = first_ && known_revision != 0 && known_revision == model.revision();
  reply.set_full(first_ && !has_all);
  std::map<Model::Key, uint64_t> now;
  for (const auto& [key, object] : model.objects()) {
    if (!Hears(*object.kind)) continue;
    now[key] = object.revision;
    const auto sent = sent_.find(key);
    if (has_all || (sent != sent_.end() && sent->second == object.revision)) continue;
    admin::v1::WatchedObject* out = reply.add_objects();
    out->set_kind(object.kind->full_name);
    out->set_name(object.name);
    object.value->SerializeToString(out->mutable_data());
  }
  for (const auto& [key, revision] : sent_) {
    if (now.contains(key)) continue;
    admin::v1::WatchedObject* out = reply.add_objects();
    out->set_kind(config::Schema::Generated().Find(key.first)->full_name);
    out->set_name(key.second);
    out->set_removed(true);
  }
  sent_ = std::move(now);
  first_ = false;
  return reply;
}

net::Task<absl::Status> WatchService::Watch(rpc::ServerCall& call) {
  admin::v1::WatchRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("expected a WatchRequest");
  // Secrets are only for those whose business they are.
  if (request.process() != call.context().role) {
    co_return base::Denied(
        base::StrCat("\"", call.context().role, "\" may not watch as \"", request.process(), "\""));
  }
  const auto watcher = watchers_.insert(
      watchers_.end(),
      Watcher{request.process(), request.instance(), request.health(), request.version(), 0});
  observe::Info("watch.begin", {{"process", watcher->process}, {"instance", watcher->instance}});
  const absl::Status status = co_await Feed(call, *watcher, request.known_revision());
  observe::Info("watch.end", {{"process", watcher->process}, {"instance", watcher->instance}});
  watchers_.erase(watcher);
  co_return status;
}

net::Task<absl::Status> WatchService::Feed(rpc::ServerCall& call, Watcher& watcher,
                                           uint64_t known) {
  Audience audience(watcher.process);
  bool first = true;
  const uint64_t asked = models_.asked();
  while (!call.cancelled()) {
    const std::shared_ptr<const Model> model = models_.current();
    // Another admin-service has told it of a revision that this one is about to read: nobody goes
    // back for that moment. When the store says so the database itself went back.
    const bool behind = first && known > model->revision() && models_.answered() <= asked;
    // Before the first read of the store there is nothing to say: defaults would look like a
    // configuration.
    if (model->revision() != 0 && !behind && (first || model->revision() != watcher.revision)) {
      CO_RETURN_IF_ERROR(co_await call.Write(audience.Next(*model, known)));
      watcher.revision = model->revision();
      first = false;
      continue;  // it may have moved while this one was written
    }
    if (co_await models_.changed().WaitFor(kHeartbeat)) continue;
    admin::v1::WatchReply heartbeat;
    heartbeat.set_heartbeat(true);
    heartbeat.set_revision(watcher.revision);
    CO_RETURN_IF_ERROR(co_await call.Write(heartbeat));
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::admin_service
