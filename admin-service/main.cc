// posthorn-admin-service: owns the configuration.

#include "admin-service/service/admin.h"
#include "lib/base/status_macros.h"
#include "lib/net/loop.h"
#include "lib/process/service.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {
namespace {

// Everything of this process that needs the loop, in the order of its making.
struct Parts {
  std::unique_ptr<ObjectStore> objects;
  std::unique_ptr<Admin> admin;
};

std::string OwnFlag(const process::Flags& flags, std::string_view name) {
  for (const auto& [flag, value] : flags.own) {
    if (flag == name) return value;
  }
  return {};
}

net::Task<absl::Status> SetUp(process::Service& service, Parts& parts) {
  const process::Flags& flags = service.flags();
  CO_ASSIGN_OR_RETURN(std::string key,
                      LoadOrMakeKey(flags.data.empty() ? "token.key" : flags.data + "/token.key"));
  parts.objects = NewRemoteObjectStore(service.store());
  parts.admin = std::make_unique<Admin>(
      service.loop(), config::Schema::Generated(), *parts.objects, service.store(), service.queue(),
      Admin::Options{std::move(key), OwnFlag(flags, "password-file"),
                     [&service] { return service.Describe(); }});
  parts.admin->Register(service.server());
  service.OnStop([&parts] { return parts.admin->Leave(); });
  service.AddReadiness([&parts] { return parts.admin->Missing(); });
  co_return co_await parts.admin->Start();
}

int Main(int argc, char** argv) {
  std::vector<std::string> roles = WatchingProcesses();
  roles.emplace_back("cli");
  const auto service = process::Service::Create(argc, argv,
                                                {.process = "admin-service",
                                                 .own_flags = {"--password-file"},
                                                 .wants_config = false,
                                                 .caller_roles = std::move(roles)});
  Parts parts;
  const int code = service->Run([&] { return SetUp(*service, parts); });
  if (parts.admin) parts.admin->Stop();
  return code;
}

}  // namespace
}  // namespace posthorn::admin_service

int main(int argc, char** argv) { return posthorn::admin_service::Main(argc, argv); }
