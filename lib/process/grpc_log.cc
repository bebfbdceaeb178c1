#include "lib/process/grpc_log.h"

#include <grpc/support/log.h>

#include <string_view>

#include "lib/observe/log.h"

namespace posthorn::process {
namespace {

void Write(gpr_log_func_args* line) {
  const std::string_view path = line->file;
  const bool error = line->severity == GPR_LOG_SEVERITY_ERROR;
  const observe::Level level = error ? observe::Level::kWarning : observe::Level::kDebug;
  if (!observe::Enabled(level)) return;
  observe::Log(
      level, "rpc.grpc",
      {{"at", path.substr(path.rfind('/') + 1)}, {"line", line->line}, {"text", line->message}});
}

}  // namespace

void SetUpGrpcLog() {
  gpr_set_log_function(&Write);
  gpr_log_verbosity_init();  // errors, or what GRPC_VERBOSITY says
}

}  // namespace posthorn::process
