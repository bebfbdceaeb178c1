#include "spam-service/engine/guarded_resolver.h"

#include "lib/base/strings.h"

namespace posthorn::spam_service {
namespace {

constexpr std::string_view kLeftAlone = "left alone after time-outs";

}  // namespace

net::Task<absl::StatusOr<dns::Answer>> GuardedResolver::Query(std::string name, dns::Type type,
                                                              std::chrono::milliseconds timeout) {
  if (!breaker_.Allow(Breaker::Clock::now())) co_return base::Unavailable(kLeftAlone);
  // Without time there is no question, and nothing to learn from its failure.
  if (timeout <= std::chrono::milliseconds(0)) co_return dns::TimeoutError();
  absl::StatusOr<dns::Answer> answer = co_await resolver_.Query(std::move(name), type, timeout);
  if (dns::IsTimeout(answer.status())) {
    breaker_.Failed(Breaker::Clock::now());
  } else if (!IsLeftAlone(answer.status()) && !absl::IsInvalidArgument(answer.status())) {
    breaker_.Succeeded();
  }
  co_return answer;
}

bool IsLeftAlone(const absl::Status& status) {
  return absl::IsUnavailable(status) && base::Message(status) == kLeftAlone;
}

}  // namespace posthorn::spam_service
