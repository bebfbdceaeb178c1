#include "admin-service/service/health_probe.h"

#include "lib/base/strings.h"
#include "lib/net/connection.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kLimit{1000};
constexpr size_t kMaxAnswer = 64 << 10;

// All that the server sends before it closes.
net::Task<absl::StatusOr<std::string>> ReadAll(net::Connection& connection) {
  std::string text;
  while (text.size() < kMaxAnswer) {
    const absl::Status status = co_await connection.Fill(kLimit);
    text += connection.buffered();
    connection.Consume(connection.buffered().size());
    if (absl::IsOutOfRange(status)) break;
    if (!status.ok()) co_return status;
  }
  co_return text;
}

}  // namespace

net::Task<Health> ProbeHealth(net::Loop& loop, std::string address) {
  const size_t colon = address.rfind(':');
  const std::optional<uint16_t> port = base::ParseInt<uint16_t>(
      colon == std::string::npos ? std::string_view()
                                 : std::string_view(address).substr(colon + 1));
  if (!port) co_return Health{false, false, "has no health port"};
  std::string host = address.substr(0, colon);
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  auto connection = co_await net::Connect(loop, host, *port, "", kLimit);
  if (!connection.ok())
    co_return Health{false, false,
                     base::StrCat("health port: ", base::Message(connection.status()))};
  (*connection)->Append(base::StrCat("GET /readyz HTTP/1.0\r\nHost: ", host, "\r\n\r\n"));
  absl::Status status = co_await (*connection)->Flush(kLimit);
  absl::StatusOr<std::string> answer = base::Unavailable("did not answer");
  if (status.ok()) answer = co_await ReadAll(**connection);
  if (!answer.ok())
    co_return Health{false, false, base::StrCat("health port: ", base::Message(answer.status()))};
  const size_t body = answer->find("\r\n\r\n");
  Health health{true, answer->find(" 200 ") < answer->find('\r'), ""};
  if (!health.ready && body != std::string::npos)
    health.detail = base::Trim(std::string_view(*answer).substr(body + 4));
  co_return health;
}

}  // namespace posthorn::admin_service
