#include "spam-service/engine/engine.h"

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/observe/metrics.h"
#include "spam-service/engine/run.h"

namespace posthorn::spam_service {
namespace {

using Clock = std::chrono::steady_clock;

observe::Histogram* Seconds(std::string_view stage) {
  return observe::NewHistogram("posthorn_spam_check_seconds",
                               "From the last byte (or the envelope) to the verdict",
                               {{"stage", stage}});
}
observe::Counter* Verdicts(std::string_view stage, Verdict::Action action) {
  return observe::NewCounter("posthorn_spam_verdicts_total", "Verdicts, by action",
                             {{"stage", stage}, {"action", ActionName(action)}});
}

// What one stage counts.
struct StageMetrics {
  explicit StageMetrics(std::string_view stage)
      : seconds(Seconds(stage)),
        actions{Verdicts(stage, Verdict::Action::kAccept), Verdicts(stage, Verdict::Action::kMark),
                Verdicts(stage, Verdict::Action::kReject)} {}
  void Count(const Verdict& verdict, Clock::time_point begin) const {
    seconds->Observe(std::chrono::duration<double>(Clock::now() - begin).count());
    actions[static_cast<size_t>(verdict.action)]->Add();
  }
  observe::Histogram* seconds;
  observe::Counter* actions[3];
};

const StageMetrics& EnvelopeMetrics() {
  static const StageMetrics metrics("envelope");
  return metrics;
}
const StageMetrics& MessageMetrics() {
  static const StageMetrics metrics("message");
  return metrics;
}

// Null when no test applies.
std::shared_ptr<TestRun> StartEnvelopeTests(net::Loop& loop, const TestSet& tests,
                                            const std::shared_ptr<const Envelope>& envelope) {
  std::shared_ptr<TestRun> run;
  for (const std::shared_ptr<EnvelopeTest>& test : tests.envelope) {
    if (!test->AppliesTo(*envelope)) continue;
    if (!run) run = std::make_shared<TestRun>(loop, Clock::now() + tests.deadline);
    run->Start(test->name(), test->kind(), test, test->Run(envelope, run->deadline()));
  }
  return run;
}

}  // namespace

void MakeEngineMetrics() {
  EnvelopeMetrics();
  MessageMetrics();
}

net::Task<Verdict> CheckEnvelope(net::Loop& loop, std::shared_ptr<const TestSet> tests,
                                 std::shared_ptr<const Envelope> envelope) {
  const StageMetrics& metrics = EnvelopeMetrics();
  const Clock::time_point begin = Clock::now();
  std::vector<Finding> findings;
  if (const std::shared_ptr<TestRun> run = StartEnvelopeTests(loop, *tests, envelope))
    co_await run->Collect(findings);
  Verdict verdict = Judge(std::move(findings), tests->thresholds);
  metrics.Count(verdict, begin);
  co_return verdict;
}

MessageCheck::MessageCheck(net::Loop& loop, std::shared_ptr<const TestSet> tests,
                           std::shared_ptr<const Envelope> envelope, std::optional<Verdict> earlier)
    : loop_(loop), tests_(std::move(tests)), earlier_(std::move(earlier)) {
  if (!earlier_) run_ = StartEnvelopeTests(loop_, *tests_, envelope);
  for (const std::shared_ptr<MessageTest>& test : tests_->message)
    if (std::unique_ptr<MessageScan> scan = test->Begin(envelope))
      scans_.push_back({test, std::move(scan)});
}

MessageCheck::~MessageCheck() = default;

void MessageCheck::Feed(std::string_view chunk) {
  const uint64_t room = kMaxScanned - std::min(size_, kMaxScanned);
  size_ += chunk.size();
  chunk = chunk.substr(0, room);
  if (chunk.empty()) return;
  for (const Scan& scan : scans_) scan.scan->Feed(chunk);
}

net::Task<void> MessageCheck::FinishScans(std::vector<Finding>& findings) {
  const Deadline deadline = Clock::now() + tests_->deadline;
  std::shared_ptr<TestRun> run;
  for (Scan& entry : scans_) {
    if (entry.test->Waits()) {
      if (!run) run = std::make_shared<TestRun>(loop_, deadline);
      const std::shared_ptr<MessageScan> scan = std::move(entry.scan);
      run->Start(entry.test->name(), entry.test->kind(), scan, scan->Finish(deadline));
      continue;
    }
    std::optional<Finding> finding = co_await entry.scan->Finish(deadline);
    CountTest(entry.test->kind(), finding);
    if (finding) findings.push_back(*std::move(finding));
  }
  if (run) co_await run->Collect(findings);
}

net::Task<Verdict> MessageCheck::Finish() {
  const StageMetrics& metrics = MessageMetrics();
  const Clock::time_point begin = Clock::now();
  std::vector<Finding> findings;
  std::string authentication_results;
  if (earlier_) {
    findings = std::move(earlier_->findings);
    authentication_results = std::move(earlier_->authentication_results);
  }
  if (run_) co_await run_->Collect(findings);
  co_await FinishScans(findings);
  if (size_ > kMaxScanned)
    findings.push_back(
        {"size", 0, base::StrCat("only the first ", kMaxScanned >> 20, " MiB were looked at")});
  const bool incomplete = earlier_ && earlier_->incomplete;
  Verdict verdict =
      Judge(std::move(findings), tests_->thresholds, std::move(authentication_results));
  verdict.incomplete = verdict.incomplete || incomplete;
  metrics.Count(verdict, begin);
  co_return verdict;
}

}  // namespace posthorn::spam_service
