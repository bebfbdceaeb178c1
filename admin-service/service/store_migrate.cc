// Passes a move on to the store and its progress back. The password is in no log: nothing here
// prints a request.

#include "admin-service/service/operations_service.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/admin.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::hours kLimit{24};

admin::v1::StoreMigrateReply ToOperator(const store::v1::MigrateReply& from) {
  admin::v1::StoreMigrateReply reply;
  reply.set_phase(from.phase());
  reply.set_table(from.table());
  reply.set_done(from.done());
  reply.set_total(from.total());
  reply.set_line(from.line());
  reply.set_messages(from.messages());
  reply.set_copy_ms(from.copy_ms());
  reply.set_stop_ms(from.stop_ms());
  return reply;
}

}  // namespace

net::Task<absl::Status> OperationsService::StoreMigrate(rpc::ServerCall& call) {
  admin::v1::StoreMigrateRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("expected a StoreMigrateRequest");
  const auto caller = co_await authority_.IdentifyOwner(call.context());
  if (!caller.ok()) co_return caller.status();
  rpc::CallOptions options;
  options.timeout = kLimit;
  const std::unique_ptr<rpc::RawCall> migrate =
      peers_.store.Start(rpc::store::kStoreAdminMigrate.path, "", rpc::Flow::kFree, options);
  store::v1::MigrateRequest forwarded;
  forwarded.set_target(request.target());
  forwarded.set_password(request.password());
  forwarded.set_ca(request.ca());
  CO_RETURN_IF_ERROR(co_await migrate->Write(forwarded));
  migrate->WritesDone();
  while (!call.cancelled()) {
    store::v1::MigrateReply reply;
    CO_ASSIGN_OR_RETURN(const bool more, co_await migrate->Read(reply));
    if (!more) break;
    CO_RETURN_IF_ERROR(co_await call.Write(ToOperator(reply)));
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::admin_service
