#include "spam-service/engine/run.h"

#include <map>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::spam_service {
namespace {

using std::chrono::milliseconds;

struct TestCounters {
  explicit TestCounters(std::string_view kind)
      : hit(Make(kind, "hit")), clear(Make(kind, "clear")), skipped(Make(kind, "skipped")) {}
  static observe::Counter* Make(std::string_view kind, std::string_view outcome) {
    return observe::NewCounter("posthorn_spam_tests_total", "Tests made, by outcome",
                               {{"test", kind}, {"outcome", outcome}});
  }
  observe::Counter* hit;
  observe::Counter* clear;
  observe::Counter* skipped;
};

}  // namespace

void CountTest(std::string_view kind, const std::optional<Finding>& finding) {
  static auto* const kAll = new std::map<std::string, TestCounters, std::less<>>();
  auto found = kAll->find(kind);
  if (found == kAll->end()) found = kAll->emplace(std::string(kind), TestCounters(kind)).first;
  if (finding && finding->skipped) {
    found->second.skipped->Add();
  } else {
    (finding && finding->score > 0 ? found->second.hit : found->second.clear)->Add();
  }
}

void TestRun::Start(std::string_view name, std::string_view kind, std::shared_ptr<const void> keep,
                    net::Task<std::optional<Finding>> task) {
  slots_.push_back({std::string(name), kind, false, {}});
  ++running_;
  loop_.Spawn("spam.test",
              RunOne(shared_from_this(), slots_.size() - 1, std::move(keep), std::move(task)));
}

net::Task<void> TestRun::RunOne(std::shared_ptr<TestRun> run, size_t slot,
                                std::shared_ptr<const void>,
                                net::Task<std::optional<Finding>> task) {
  std::optional<Finding> finding = co_await std::move(task);
  run->slots_[slot].finding = std::move(finding);
  run->slots_[slot].done = true;
  --run->running_;
  run->changed_.NotifyAll();
}

net::Task<void> TestRun::Collect(std::vector<Finding>& findings) {
  // Tests end at the deadline by themselves and say what they know; a little later nobody waits for
  // them any more.
  constexpr milliseconds kGrace{100};
  while (running_ > 0) {
    const auto left =
        std::chrono::ceil<milliseconds>(deadline_ + kGrace - std::chrono::steady_clock::now());
    if (left <= milliseconds(0)) break;
    co_await changed_.WaitFor(left);
  }
  for (Slot& slot : slots_) {
    if (!slot.done) {
      slot.finding = Finding{slot.name, 0, "no answer in time"};
      slot.finding->skipped = true;
    }
    CountTest(slot.kind, slot.finding);
    if (slot.finding) findings.push_back(*std::move(slot.finding));
  }
}

}  // namespace posthorn::spam_service
