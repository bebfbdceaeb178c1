#pragma once

// What processes say of themselves, to this admin-service or to another one that told us. Pure.
// Invariant: of all words on one start of a process the newest counts, whoever heard it.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/store/v1/objects.pb.h"

namespace posthorn::admin_service {

// Processes speak every two seconds: who missed three times says nothing any more.
inline constexpr int64_t kSilentMs = 7000;
// Who starts is not ready for a while: for so long nothing is wrong with it, unless it comes again
// after it ended without leaving, so lately.
inline constexpr uint64_t kStartingMs = 10'000;
inline constexpr int64_t kCrashedMs = 60'000;
// Who was silent for so long, or has left, is not spoken of any more.
inline constexpr int64_t kForgottenMs = 15 * 60 * 1000;

class Reports {
 public:
  struct Heard {
    admin::v1::ProcessReport report;
    int64_t silent_ms = 0;
    // It took the place of one of its name that ended a moment ago without leaving.
    bool after_crash = false;
  };

  // So many starts of processes are remembered; far more than there are.
  static constexpr size_t kMost = 5000;
  void Take(admin::v1::ProcessReport report, int64_t now_ms);
  // What another admin-service should know: all that was said to this one.
  admin::v1::AdminWord Word(int64_t now_ms) const;
  // What the others know.
  void TakeWords(const store::v1::MeetReply& words, int64_t now_ms);
  // Every process that speaks, and those that fell silent lately without leaving and without a
  // successor of their name; by process and name.
  std::vector<Heard> All(int64_t now_ms) const;

 private:
  struct Said {
    admin::v1::ProcessReport report;
    int64_t at_ms = 0;
    // Its last word before it began anew under the same instance (a container's process is always
    // the first), without having left; 0: none.
    int64_t crashed_ms = 0;
  };
  using Key = std::pair<std::string, std::string>;  // process, instance
  using Words = std::map<Key, Said>;
  static void Put(Words& words, admin::v1::ProcessReport report, int64_t at_ms);

  Words own_;
  Words others_;
};

}  // namespace posthorn::admin_service
