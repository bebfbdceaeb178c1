#include "smtp-gateway/session/metrics.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::smtp_gateway {
namespace {

using observe::NewCounter;

constexpr std::string_view kClassNames[] = {"2xx", "3xx", "4xx", "5xx"};
// [RFC3463 4] the second number of an enhanced status code.
constexpr std::string_view kSubjectNames[] = {"other",   "address",  "mailbox", "system",
                                              "network", "protocol", "content", "policy"};

std::string NameOf(size_t answers) {
  if (answers == SmtpMetrics::kConnection) return "connection";
  if (answers == SmtpMetrics::kMessage) return "message";
  return base::Lower(kLaw[answers].verb);
}

}  // namespace

const SmtpMetrics& SmtpMetrics::Get() {
  static const SmtpMetrics* const kMetrics = new SmtpMetrics();
  return *kMetrics;
}

SmtpMetrics::SmtpMetrics()
    : accepted(NewCounter("posthorn_smtp_messages_accepted_total", "Messages answered with 250")),
      unscored(NewCounter("posthorn_smtp_messages_unscored_total",
                          "Messages accepted though the scorer was away")),
      accept_seconds(observe::NewHistogram("posthorn_smtp_accept_seconds",
                                           "From the final dot to its answer")) {
  for (size_t answers = 0; answers < replies_.size(); ++answers)
    for (size_t i = 0; i < kClasses; ++i)
      replies_[answers][i] =
          NewCounter("posthorn_smtp_replies_total", "Replies by what they answer and their class",
                     {{"verb", NameOf(answers)}, {"class", kClassNames[i]}});
  for (size_t i = 0; i < refusals_.size(); ++i)
    for (size_t subject = 0; subject < kSubjects; ++subject)
      refusals_[i][subject] =
          NewCounter("posthorn_smtp_refusals_total",
                     "Recipients and messages refused, by the subject of the enhanced status code",
                     {{"class", kClassNames[i + 2]}, {"reason", kSubjectNames[subject]}});
}

void SmtpMetrics::CountReply(size_t answers, const mail::Reply& reply) const {
  replies_[answers][static_cast<size_t>(std::clamp(reply.code / 100, 2, 5) - 2)]->Add();
}

void SmtpMetrics::CountRefusal(const mail::Reply& reply) const {
  const int subject = reply.enhanced.subject;
  const bool known = subject >= 0 && subject < static_cast<int>(kSubjects);
  refusals_[reply.transient() ? 0 : 1][known ? static_cast<size_t>(subject) : 0]->Add();
}

}  // namespace posthorn::smtp_gateway
