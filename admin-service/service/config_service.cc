#include "admin-service/service/config_service.h"

#include <algorithm>

#include "admin-service/service/register.h"
#include "admin-service/service/revisions.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/documents.h"
#include "lib/config/objects.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::admin_service {
namespace {

constexpr uint32_t kPage = 1000;
constexpr uint32_t kHistory = 50;

admin::v1::ConfigObject Show(const config::Schema& schema, const StoredObject& object) {
  const std::unique_ptr<google::protobuf::Message> shown = schema.New(*object.kind);
  shown->CopyFrom(*object.value);
  config::MaskSecrets(*shown);
  admin::v1::ConfigObject out;
  out.set_kind(object.kind->word);
  out.set_name(object.name);
  out.set_revision(object.revision);
  out.set_json(config::ToJson(*shown));
  return out;
}

bool Matches(const std::string& name, const std::string& part) {
  return part.empty() || base::ContainsIgnoreCase(name, part);
}
uint32_t PageSize(uint32_t asked) { return asked == 0 ? kPage : std::min(asked, kPage); }

}  // namespace

void ConfigService::Register(rpc::Server& server, const std::vector<std::string>& processes) {
  ForOperators(server, rpc::admin::kConfigGet, this, &ConfigService::Get);
  ForOperators(server, rpc::admin::kConfigList, this, &ConfigService::List);
  ForOperators(server, rpc::admin::kConfigPut, this, &ConfigService::Put);
  ForOperators(server, rpc::admin::kConfigDelete, this, &ConfigService::Delete);
  ForOperators(server, rpc::admin::kConfigApply, this, &ConfigService::Apply);
  ForOperators(server, rpc::admin::kConfigDiff, this, &ConfigService::Diff);
  ForOperators(server, rpc::admin::kConfigRollback, this, &ConfigService::Rollback);
  ForOperators(server, rpc::admin::kConfigHistory, this, &ConfigService::History);
  ForOperators(server, rpc::admin::kConfigSchema, this, &ConfigService::ReadSchema);
  server.HandleStream(rpc::admin::kConfigWatch, processes,
                      [this](rpc::ServerCall& call) { return watch_.Watch(call); });
}

ConfigService::Reply<admin::v1::ConfigObject> ConfigService::Get(rpc::CallContext context,
                                                                 admin::v1::GetRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  CO_ASSIGN_OR_RETURN(const config::Kind* kind, schema_.Lookup(request.kind()));
  CO_ASSIGN_OR_RETURN(const std::string name, NormalName(schema_, *kind, request.name()));
  CO_RETURN_IF_ERROR(co_await models_.Refresh());
  Workspace workspace(schema_, store_, models_.current());
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<const StoredObject> object,
                      co_await workspace.Stored(*kind, name));
  if (object == nullptr)
    co_return base::NotFound(base::StrCat("no ", kind->word, " \"", name, "\""));
  co_return Show(schema_, *object);
}

ConfigService::Reply<admin::v1::ListReply> ConfigService::List(rpc::CallContext context,
                                                               admin::v1::ListRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  CO_ASSIGN_OR_RETURN(const config::Kind* kind, schema_.Lookup(request.kind()));
  if (kind->directory) co_return co_await ListDirectory(*kind, std::move(request));
  CO_RETURN_IF_ERROR(co_await models_.Refresh());
  co_return ListModel(*kind, request);
}

admin::v1::ListReply ConfigService::ListModel(const config::Kind& kind,
                                              const admin::v1::ListRequest& request) const {
  admin::v1::ListReply reply;
  const std::shared_ptr<const Model> model = models_.current();
  reply.set_revision(model->revision());
  for (auto at = model->objects().upper_bound({kind.word, request.after()});
       at != model->objects().end(); ++at) {
    if (at->second.kind != &kind) break;
    if (!Matches(at->second.name, request.match())) continue;
    if (static_cast<uint32_t>(reply.objects_size()) == PageSize(request.limit())) {
      reply.set_more(true);
      break;
    }
    *reply.add_objects() = Show(schema_, at->second);
  }
  return reply;
}

net::Task<absl::StatusOr<admin::v1::ListReply>> ConfigService::ListDirectory(
    const config::Kind& kind, admin::v1::ListRequest request) {
  admin::v1::ListReply reply;
  store::v1::ListObjectsRequest page;
  page.set_kind(kind.full_name);
  page.set_after(request.after());
  page.set_limit(PageSize(request.limit()));
  // "@example.org" is an index scan at the store; any other part is looked for page by page.
  if (request.match().starts_with("@")) page.set_suffix(request.match());
  do {
    CO_ASSIGN_OR_RETURN(const store::v1::ListObjectsReply part, co_await store_.List(page));
    reply.set_revision(part.revision());
    reply.set_more(part.more());
    for (const store::v1::Object& object : part.objects()) {
      page.set_after(object.name());
      const std::shared_ptr<const StoredObject> decoded = Decode(schema_, object);
      if (decoded == nullptr || !Matches(object.name(), request.match())) continue;
      if (static_cast<uint32_t>(reply.objects_size()) == PageSize(request.limit())) {
        reply.set_more(true);
        co_return reply;
      }
      *reply.add_objects() = Show(schema_, *decoded);
    }
    if (part.objects_size() == 0) break;
  } while (reply.more() && static_cast<uint32_t>(reply.objects_size()) < PageSize(request.limit()));
  co_return reply;
}

ConfigService::Reply<admin::v1::ChangeReply> ConfigService::Put(rpc::CallContext context,
                                                                admin::v1::PutRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.IdentifyOwner(std::move(context)));
  Editor::Intent intent{caller.name, request.reason()};
  co_return co_await editor_.Run(NewPut(std::move(request)), std::move(intent));
}

ConfigService::Reply<admin::v1::ChangeReply> ConfigService::Delete(
    rpc::CallContext context, admin::v1::DeleteRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.IdentifyOwner(std::move(context)));
  Editor::Intent intent{caller.name, request.reason()};
  co_return co_await editor_.Run(NewDelete(std::move(request)), std::move(intent));
}

ConfigService::Reply<admin::v1::ChangeReply> ConfigService::Apply(rpc::CallContext context,
                                                                  admin::v1::ApplyRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.IdentifyOwner(std::move(context)));
  Editor::Intent intent{caller.name, request.reason()};
  intent.mode = request.dry_run() ? Editor::Mode::kDryRun : Editor::Mode::kCommit;
  intent.expected_head = request.expected_head();
  co_return co_await editor_.Run(NewApply(std::move(request)), std::move(intent));
}

ConfigService::Reply<admin::v1::ChangeReply> ConfigService::Diff(rpc::CallContext context,
                                                                 admin::v1::DiffRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  CO_ASSIGN_OR_RETURN(const uint64_t head, co_await store_.Head());
  const uint64_t to = request.to() == 0 ? head : request.to();
  CO_ASSIGN_OR_RETURN(const std::vector<Span> spans,
                      co_await ReadSpans(store_, schema_, request.from(), to));
  co_return DescribeSpans(spans);
}

ConfigService::Reply<admin::v1::ChangeReply> ConfigService::Rollback(
    rpc::CallContext context, admin::v1::RollbackRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.IdentifyOwner(std::move(context)));
  const std::string reason = request.reason().empty()
                                 ? base::StrCat("rollback to revision ", request.to())
                                 : request.reason();
  co_return co_await editor_.Run(NewRollback(store_, std::move(request)), {caller.name, reason});
}

ConfigService::Reply<admin::v1::HistoryReply> ConfigService::History(
    rpc::CallContext context, admin::v1::HistoryRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  store::v1::HistoryRequest page;
  page.set_limit(request.limit() == 0 ? kHistory : request.limit());
  page.set_before(request.before());
  CO_ASSIGN_OR_RETURN(const store::v1::HistoryReply reply,
                      co_await store_.History(std::move(page)));
  co_return DescribeHistory(reply);
}

ConfigService::Reply<admin::v1::SchemaReply> ConfigService::ReadSchema(rpc::CallContext context,
                                                                       admin::v1::SchemaRequest) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  admin::v1::SchemaReply reply;
  reply.set_file_descriptor_set(schema_.FileSet());
  co_return reply;
}

}  // namespace posthorn::admin_service
