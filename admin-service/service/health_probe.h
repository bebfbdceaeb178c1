#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::admin_service {

struct Health {
  bool alive = false;
  bool ready = false;
  std::string detail;  // what is missing, or why nobody answered
  // Until the certificate it shows other processes, or its authority, expires; nothing without one.
  std::optional<int64_t> certificate_seconds = {};
};

inline constexpr std::string_view kCertificateMetric =
    "posthorn_process_certificate_expiry_seconds";

// The value of a metric without labels in the text of /metrics.
std::optional<int64_t> MetricIn(std::string_view text, std::string_view name);
// Asks /readyz and /metrics at "address:port" of another process's health port; at most a second
// each.
net::Task<Health> ProbeHealth(net::Loop& loop, std::string address);

}  // namespace posthorn::admin_service
