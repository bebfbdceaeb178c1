#include "spam-service/engine/breaker.h"

#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::spam_service {

Breaker::Breaker(std::string_view dependency, Rules rules)
    : rules_(rules),
      gauge_(observe::NewGauge("posthorn_spam_breakers_open",
                               "Companions that are left alone because they keep silent",
                               {{"dependency", dependency}})) {}

Breaker::~Breaker() { SetOpen(false); }

void Breaker::SetOpen(bool open) {
  if (open != open_) gauge_->Add(open ? 1 : -1);
  open_ = open;
}

bool Breaker::Allow(Clock::time_point now) {
  if (!open_) return true;
  if (now < next_try_) return false;
  // The one that tries may never report: the next one comes after another rest.
  next_try_ = now + rules_.rest;
  return true;
}

void Breaker::Succeeded() {
  failures_ = 0;
  SetOpen(false);
}

void Breaker::Failed(Clock::time_point now) {
  if (++failures_ < rules_.failures) return;
  SetOpen(true);
  next_try_ = now + rules_.rest;
}

}  // namespace posthorn::spam_service
