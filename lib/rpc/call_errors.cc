#include "lib/rpc/call_errors.h"

#include "lib/observe/metrics.h"

namespace posthorn::rpc {

std::string_view CodeName(absl::StatusCode code) {
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

void CountClientError(std::string_view path, const absl::Status& status) {
  if (status.ok() || absl::IsCancelled(status)) return;
  observe::NewCounter("posthorn_rpc_client_errors_total",
                      "Calls to other processes that ended with a status other than OK",
                      {{"method", path}, {"code", CodeName(status.code())}})
      ->Add();
}

void CountServerError(std::string_view path, absl::StatusCode code, double by) {
  observe::NewCounter("posthorn_rpc_server_errors_total",
                      "Calls answered with a status other than OK",
                      {{"method", path}, {"code", CodeName(code)}})
      ->Add(by);
}

}  // namespace posthorn::rpc
