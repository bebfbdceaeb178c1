#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/bench/load/modes.h"

namespace posthorn::load {

void Die(const absl::Status& status, const char* where) {
  std::fprintf(stderr, "mailload: %s: %s\n", where, base::StrCat(base::Message(status)).c_str());
  std::exit(1);
}

void Announce(const char* word) {
  std::puts(word);
  std::fflush(stdout);
  for (int c = std::getchar(); c != '\n'; c = std::getchar()) {
    if (c == EOF) std::exit(1);
  }
}

double Samples::Milliseconds(double quantile) {
  if (micros_.empty()) return 0;
  std::sort(micros_.begin(), micros_.end());
  const auto index = static_cast<size_t>(quantile * static_cast<double>(micros_.size() - 1));
  return static_cast<double>(micros_[index]) / 1000;
}

}  // namespace posthorn::load
