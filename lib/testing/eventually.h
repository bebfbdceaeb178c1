#pragma once

#include <chrono>
#include <thread>

namespace posthorn::testing {

// Whether `done` came true within `limit`; asks again every 20 ms. For what happens in other
// programs: what happens on a loop is waited for there.
template <class F>
bool Eventually(std::chrono::seconds limit, F done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return done();
}

}  // namespace posthorn::testing
