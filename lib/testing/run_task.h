#pragma once

// Runs a coroutine on a loop until it is done; the loop can be used again afterwards.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <utility>

#include "lib/net/loop.h"

namespace posthorn::testing {

namespace internal {
template <class T>
net::Task<void> Finish(net::Loop* loop, net::Task<T> task, std::optional<T>* result,
                       std::exception_ptr* failure) {
  try {
    result->emplace(co_await std::move(task));
  } catch (...) {
    *failure = std::current_exception();
  }
  loop->Stop();
}
inline net::Task<char> WithValue(net::Task<void> task) {
  co_await std::move(task);
  co_return 0;
}
}  // namespace internal

// Its result; what it throws is thrown here. A task that takes more than a minute ends the test
// program.
template <class T>
T RunTask(net::Loop& loop, net::Task<T> task) {
  std::optional<T> result;
  std::exception_ptr failure;
  const auto watchdog = loop.After(std::chrono::minutes(1), [] {
    std::fputs("RunTask: the task did not end within a minute\n", stderr);
    std::abort();
  });
  loop.Spawn("test", internal::Finish(&loop, std::move(task), &result, &failure));
  loop.Run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}
inline void RunTask(net::Loop& loop, net::Task<void> task) {
  RunTask(loop, internal::WithValue(std::move(task)));
}

}  // namespace posthorn::testing
