#include "admin-service/service/health_probe.h"

#include <cstdlib>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/connection.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kLimit{1000};
constexpr size_t kMaxAnswer = 1 << 20;

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

// Head and body of what `page` answers.
net::Task<absl::StatusOr<std::string>> Get(net::Loop& loop, std::string host, uint16_t port,
                                           std::string page) {
  CO_ASSIGN_OR_RETURN(const auto connection, co_await net::Connect(loop, host, port, "", kLimit));
  connection->Append(base::StrCat("GET ", page, " HTTP/1.0\r\nHost: ", host, "\r\n\r\n"));
  CO_RETURN_IF_ERROR(co_await connection->Flush(kLimit));
  co_return co_await ReadAll(*connection);
}

}  // namespace

std::optional<int64_t> MetricIn(std::string_view text, std::string_view name) {
  for (const std::string_view line : base::Split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') continue;
    return static_cast<int64_t>(
        std::strtod(std::string(line.substr(name.size())).c_str(), nullptr));
  }
  return std::nullopt;
}

net::Task<Health> ProbeHealth(net::Loop& loop, std::string address) {
  const size_t colon = address.rfind(':');
  const std::optional<uint16_t> port = base::ParseInt<uint16_t>(
      colon == std::string::npos ? std::string_view()
                                 : std::string_view(address).substr(colon + 1));
  if (!port) co_return Health{false, false, "has no health port"};
  std::string host = address.substr(0, colon);
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  const absl::StatusOr<std::string> answer = co_await Get(loop, host, *port, "/readyz");
  if (!answer.ok())
    co_return Health{false, false, base::StrCat("health port: ", base::Message(answer.status()))};
  const size_t body = answer->find("\r\n\r\n");
  Health health{true, answer->find(" 200 ") < answer->find('\r'), ""};
  if (!health.ready && body != std::string::npos)
    health.detail = base::Trim(std::string_view(*answer).substr(body + 4));
  const absl::StatusOr<std::string> metrics = co_await Get(loop, host, *port, "/metrics");
  if (metrics.ok()) health.certificate_seconds = MetricIn(*metrics, kCertificateMetric);
  co_return health;
}

}  // namespace posthorn::admin_service
