#pragma once

// From findings to a verdict. Pure.

#include <string>
#include <vector>

#include "spam-service/engine/test.h"

namespace posthorn::spam_service {

struct Thresholds {
  double mark = 5;
  double reject = 20;  // 0: never
};

struct Verdict {
  enum class Action { kAccept, kMark, kReject };
  Action action = Action::kAccept;
  double score = 0;
  std::vector<Finding> findings;
  std::string authentication_results;
  bool incomplete = false;
  std::string reply_text;
};
std::string_view ActionName(Verdict::Action action);

// `authentication_results`: those of an earlier verdict on the same envelope, which the findings'
// own follow.
Verdict Judge(std::vector<Finding> findings, const Thresholds& thresholds,
              std::string authentication_results = {});

}  // namespace posthorn::spam_service
