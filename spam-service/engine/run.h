#pragma once

// Tests of one message that run at the same time, and what came back so far. For engine/ only.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/net/loop.h"
#include "spam-service/engine/test.h"

namespace posthorn::spam_service {

// Owned by whoever waits and by each test under way: the one that waits may leave at the deadline.
class TestRun : public std::enable_shared_from_this<TestRun> {
 public:
  TestRun(net::Loop& loop, Deadline deadline) : loop_(loop), deadline_(deadline), changed_(loop) {}
  // Starts `task`; `keep` lives as long as it runs.
  void Start(std::string_view name, std::string_view kind, std::shared_ptr<const void> keep,
             net::Task<std::optional<Finding>> task);
  // Until all have ended or the deadline has passed; appends findings in the order of Start. A test
  // that did not end is a finding that says so.
  net::Task<void> Collect(std::vector<Finding>& findings);
  Deadline deadline() const { return deadline_; }

 private:
  struct Slot {
    std::string name;
    std::string_view kind;
    bool done = false;
    std::optional<Finding> finding;
  };
  static net::Task<void> RunOne(std::shared_ptr<TestRun> run, size_t slot,
                                std::shared_ptr<const void> keep,
                                net::Task<std::optional<Finding>> task);

  net::Loop& loop_;
  const Deadline deadline_;
  std::deque<Slot> slots_;
  size_t running_ = 0;
  net::Signal changed_;
};

// Counts what a test said: "hit", "clear" or "skipped".
void CountTest(std::string_view kind, const std::optional<Finding>& finding);

}  // namespace posthorn::spam_service
