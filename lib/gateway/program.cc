#include "lib/gateway/program.h"

#include "lib/base/status_macros.h"
#include "lib/config/snapshot.h"
#include "lib/process/service.h"

namespace posthorn::gateway {
namespace {

struct Running {
  std::unique_ptr<Program> program;
  std::unique_ptr<Frontend> front;  // goes first: its sessions use the program
};

net::Task<absl::Status> SetUp(
    process::Service& service,
    const std::function<std::unique_ptr<Program>(process::Service&)>& make, Running& running) {
  running.program = make(service);
  CO_ASSIGN_OR_RETURN(running.front, Frontend::Open(service, running.program->Front()));
  co_return absl::OkStatus();
}

}  // namespace

Present::Present(process::Service& service) {
  service.OnConfig([this](const config::Snapshot& snapshot) {
    settings_ = std::make_shared<const config::v1::Settings>(snapshot.Get<config::v1::Settings>());
    networks_ = Networks(snapshot);
  });
}

net::Listener::Refuse RefuseWith(std::string line) {
  return [line = std::move(line)](net::Refusal) { return line; };
}

int Main(int argc, char** argv, std::string_view process,
         std::function<std::unique_ptr<Program>(process::Service&)> make) {
  process::Service::Options options;
  options.process = std::string(process);
  const std::unique_ptr<process::Service> service =
      process::Service::Create(argc, argv, std::move(options));
  Running running;
  return service->Run([&] { return SetUp(*service, make, running); });
}

}  // namespace posthorn::gateway
