#include "store-service/service/meeting.h"

#include <utility>

namespace posthorn::store_service {

store::v1::MeetReply Meeting::Take(store::v1::MeetRequest request, int64_t now_ms) {
  std::erase_if(said_,
                [&](const auto& entry) { return now_ms - entry.second.at_ms > kForgottenMs; });
  store::v1::MeetReply reply;
  for (const auto& [instance, said] : said_) {
    if (instance == request.instance()) continue;
    store::v1::MeetReply::Met& met = *reply.add_met();
    met.set_instance(instance);
    met.set_word(said.word);
    met.set_age_ms(static_cast<uint64_t>(now_ms - said.at_ms));
  }
  if (said_.size() < kMost || said_.contains(request.instance()))
    said_[request.instance()] = {std::move(*request.mutable_word()), now_ms};
  return reply;
}

}  // namespace posthorn::store_service
