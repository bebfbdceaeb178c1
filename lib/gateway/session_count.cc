#include "lib/gateway/session_count.h"

#include "lib/observe/metrics.h"

namespace posthorn::gateway {
namespace {

observe::Gauge* Open(std::string_view protocol, std::string_view tls) {
  return observe::NewGauge("posthorn_gateway_sessions", "Open sessions",
                           {{"protocol", protocol}, {"tls", tls}});
}

observe::Counter* Ended(std::string_view protocol, std::string_view tls) {
  return observe::NewCounter("posthorn_gateway_sessions_ended_total", "Sessions that are over",
                             {{"protocol", protocol}, {"tls", tls}});
}

}  // namespace

SessionMetrics::SessionMetrics(std::string_view protocol)
    : clear_{Open(protocol, "no"), Ended(protocol, "no")},
      encrypted_{Open(protocol, "yes"), Ended(protocol, "yes")} {}

SessionCount::SessionCount(const SessionMetrics& metrics, Transport transport)
    : metrics_(metrics),
      kind_(transport == Transport::kEncrypted ? &metrics.encrypted_ : &metrics.clear_) {
  kind_->open->Add(1);
}

SessionCount::~SessionCount() {
  kind_->open->Add(-1);
  kind_->ended->Add();
}

void SessionCount::Encrypted() {
  kind_->open->Add(-1);
  kind_ = &metrics_.encrypted_;
  kind_->open->Add(1);
}

}  // namespace posthorn::gateway
