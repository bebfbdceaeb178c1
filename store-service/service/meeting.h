#pragma once

// Where admin-services hear of each other: what each said last, kept in memory by the owner of lane
// 0. Who takes the lane over hears everything anew within seconds. Pure.

#include <cstdint>
#include <map>
#include <string>

#include "posthorn/store/v1/objects.pb.h"

namespace posthorn::store_service {

class Meeting {
 public:
  // Words that are older than this are forgotten.
  static constexpr int64_t kForgottenMs = 15 * 60 * 1000;
  // Admin-services whose words are kept; far more than there are.
  static constexpr size_t kMost = 1000;
  // Keeps the caller's word, answers all others'.
  store::v1::MeetReply Take(store::v1::MeetRequest request, int64_t now_ms);

 private:
  struct Said {
    std::string word;
    int64_t at_ms = 0;
  };
  std::map<std::string, Said> said_;
};

}  // namespace posthorn::store_service
