#pragma once

// Runs the tests of one message and adds up what they say.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spam-service/engine/test.h"
#include "spam-service/engine/verdict.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::spam_service {

// How much of a message its tests see. Beyond it the verdict says so.
inline constexpr uint64_t kMaxScanned = 8ULL << 20;

// Immutable; a configuration change makes a new one, messages under test keep theirs.
struct TestSet {
  std::vector<std::shared_ptr<EnvelopeTest>> envelope;
  std::vector<std::shared_ptr<MessageTest>> message;
  Thresholds thresholds;
  std::chrono::milliseconds deadline{10000};  // for all tests of one message
};

class TestRun;

// Makes all that is counted here: a panel shows 0, not nothing.
void MakeEngineMetrics();

// One message, from its first byte to its verdict.
class MessageCheck {
 public:
  // `earlier`: the verdict on the same envelope, whose tests are not run again.
  MessageCheck(net::Loop& loop, std::shared_ptr<const TestSet> tests,
               std::shared_ptr<const Envelope> envelope, std::optional<Verdict> earlier);
  ~MessageCheck();
  MessageCheck(const MessageCheck&) = delete;
  void Feed(std::string_view chunk);
  // Once. Within the deadline, counted from here: how long the bytes took to arrive is the sender's
  // business.
  net::Task<Verdict> Finish();

 private:
  struct Scan {
    std::shared_ptr<MessageTest> test;
    std::unique_ptr<MessageScan> scan;
  };
  net::Task<void> FinishScans(std::vector<Finding>& findings);

  net::Loop& loop_;
  std::shared_ptr<const TestSet> tests_;
  std::optional<Verdict> earlier_;
  std::shared_ptr<TestRun> run_;  // null: nothing to run
  std::vector<Scan> scans_;
  uint64_t size_ = 0;
};

// The tests that need no message.
net::Task<Verdict> CheckEnvelope(net::Loop& loop, std::shared_ptr<const TestSet> tests,
                                 std::shared_ptr<const Envelope> envelope);

}  // namespace posthorn::spam_service
