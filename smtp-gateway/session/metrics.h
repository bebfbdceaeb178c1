#pragma once

// What SMTP sessions count. All children are made at once: a panel shows 0, not nothing.

#include <array>
#include <string_view>

#include "lib/gateway/session_count.h"
#include "lib/mail/smtp_reply.h"
#include "lib/observe/metrics.h"
#include "smtp-gateway/session/law.h"

namespace posthorn::smtp_gateway {

class SmtpMetrics {
 public:
  static const SmtpMetrics& Get();

  // What a reply answers: a row of kLaw, or one of these.
  static constexpr size_t kConnection = std::size(kLaw);   // greeting, timeouts, shutdown
  static constexpr size_t kMessage = std::size(kLaw) + 1;  // after the final dot
  void CountReply(size_t answers, const mail::Reply& reply) const;
  // A refused recipient or message: why, by the subject of its enhanced code [RFC3463 4].
  void CountRefusal(const mail::Reply& reply) const;

  observe::Counter* accepted;
  observe::Counter* unscored;
  // From the final dot to its answer.
  observe::Histogram* accept_seconds;
  gateway::SessionMetrics smtp{"smtp"};
  gateway::SessionMetrics submission{"submission"};
  gateway::SessionMetrics lmtp{"lmtp"};

 private:
  SmtpMetrics();
  static constexpr size_t kClasses = 4;   // 2xx to 5xx
  static constexpr size_t kSubjects = 8;  // X.0 to X.7
  std::array<std::array<observe::Counter*, kClasses>, std::size(kLaw) + 2> replies_;
  std::array<std::array<observe::Counter*, kSubjects>, 2> refusals_;  // 4xx, 5xx
};

}  // namespace posthorn::smtp_gateway
