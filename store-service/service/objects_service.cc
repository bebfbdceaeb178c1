#include "store-service/service/objects_service.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr uint32_t kDefaultPage = 1000;
constexpr uint32_t kMostPage = 10000;
constexpr uint32_t kDefaultRevisions = 100;
constexpr uint32_t kMostRevisions = 1000;

uint32_t Limit(uint32_t asked, uint32_t none, uint32_t most) {
  return asked == 0 ? none : std::min(asked, most);
}

CommitInput ToInput(v1::CommitRequest request) {
  CommitInput input{.expected_head = request.expected_head(),
                    .changes = {},
                    .author = std::move(*request.mutable_author()),
                    .reason = std::move(*request.mutable_reason())};
  for (v1::Change& change : *request.mutable_changes()) {
    ChangeInput& out = input.changes.emplace_back();
    out.kind = std::move(*change.mutable_kind());
    out.name = std::move(*change.mutable_name());
    out.data = std::move(*change.mutable_data());
    out.remove = change.remove();
    if (change.has_expected_revision()) out.expected_revision = change.expected_revision();
    out.renamed_from = std::move(*change.mutable_renamed_from());
  }
  return input;
}

v1::Revision ToProto(Revision revision) {
  v1::Revision out;
  out.set_revision(revision.revision);
  out.set_time_ms(revision.time_ms);
  out.set_author(std::move(revision.author));
  out.set_reason(std::move(revision.reason));
  for (RevisionChange& change : revision.changes) {
    v1::RevisionChange* item = out.add_changes();
    item->set_kind(std::move(change.kind));
    item->set_name(std::move(change.name));
    if (change.before) item->set_before(*std::move(change.before));
    if (change.after) item->set_after(*std::move(change.after));
  }
  return out;
}

}  // namespace

void ObjectsService::Register(rpc::Server& server) {
  using rpc::CallContext;
  const Roles admin = {kAdmin};
  server.Handle(rpc::store::kObjectsHead, admin,
                std::function([this](const CallContext&, v1::HeadRequest) { return Head(); }));
  server.Handle(rpc::store::kObjectsList, admin,
                std::function([this](const CallContext&, v1::ListObjectsRequest request) {
                  return List(std::move(request));
                }));
  server.Handle(rpc::store::kObjectsCommit, admin,
                std::function([this](const CallContext&, v1::CommitRequest request) {
                  return Commit(std::move(request));
                }));
  server.Handle(rpc::store::kObjectsHistory, admin,
                std::function([this](const CallContext&, v1::HistoryRequest request) {
                  return History(std::move(request));
                }));
  server.Handle(rpc::store::kObjectsCheckAdministrator, admin,
                std::function([this](const CallContext&, v1::CheckAdministratorRequest request) {
                  return CheckAdministrator(std::move(request));
                }));
}

net::Task<absl::StatusOr<v1::HeadReply>> ObjectsService::Head() {
  // Who has seen a revision at another store must not see an older one here.
  CO_RETURN_IF_ERROR(co_await configuration_.CatchUp());
  v1::HeadReply reply;
  reply.set_revision(configuration_.head());
  reply.set_token_key(configuration_.box().Derive("operators' tokens"));
  co_return reply;
}

net::Task<absl::StatusOr<v1::ListObjectsReply>> ObjectsService::List(
    v1::ListObjectsRequest request) {
  ListQuery query{.after = request.after(),
                  .suffix = request.suffix(),
                  .limit = Limit(request.limit(), kDefaultPage, kMostPage)};
  CO_ASSIGN_OR_RETURN(ObjectPage page, co_await configuration_.List(request.kind(), request.name(),
                                                                    std::move(query)));
  v1::ListObjectsReply reply;
  for (ObjectPage::Item& item : page.items) {
    v1::Object* object = reply.add_objects();
    object->set_kind(std::move(item.kind));
    object->set_name(std::move(item.row.name));
    object->set_revision(item.row.revision);
    object->set_data(std::move(item.row.data));
    object->set_id(item.row.id);
  }
  reply.set_more(page.more);
  reply.set_revision(page.revision);
  co_return reply;
}

net::Task<absl::StatusOr<v1::CommitReply>> ObjectsService::Commit(v1::CommitRequest request) {
  CommitInput input = ToInput(std::move(request));
  const std::string author = input.author;
  const size_t changes = input.changes.size();
  CO_ASSIGN_OR_RETURN(const uint64_t revision, co_await configuration_.Commit(std::move(input)));
  observe::Info("store.commit", {{"revision", revision}, {"author", author}, {"changes", changes}});
  v1::CommitReply reply;
  reply.set_revision(revision);
  co_return reply;
}

net::Task<absl::StatusOr<v1::HistoryReply>> ObjectsService::History(v1::HistoryRequest request) {
  CO_ASSIGN_OR_RETURN(std::vector<Revision> revisions,
                      co_await configuration_.History(
                          {.revision = request.revision(),
                           .before = request.before(),
                           .limit = Limit(request.limit(), kDefaultRevisions, kMostRevisions)}));
  v1::HistoryReply reply;
  for (Revision& revision : revisions) *reply.add_revisions() = ToProto(std::move(revision));
  co_return reply;
}

net::Task<absl::StatusOr<v1::CheckAdministratorReply>> ObjectsService::CheckAdministrator(
    v1::CheckAdministratorRequest request) {
  CO_ASSIGN_OR_RETURN(const bool ok, co_await authenticator_.CheckAdministrator(
                                         request.name(), request.password()));
  v1::CheckAdministratorReply reply;
  reply.set_ok(ok);
  co_return reply;
}

}  // namespace posthorn::store_service
