#include "spam-service/engine/engine.h"

#include <gtest/gtest.h>

#include "lib/net/loop.h"
#include "lib/testing/fake_resolver.h"
#include "lib/testing/run_task.h"
#include "spam-service/engine/breaker.h"
#include "spam-service/engine/guarded_resolver.h"

namespace posthorn::spam_service {
namespace {

using std::chrono::milliseconds;

// Tests that have begun; each ends once `expected` have.
struct Meeting {
  explicit Meeting(net::Loop& loop) : changed(loop) {}
  int expected = 0;
  int begun = 0;
  net::Signal changed;
};

class MeetingTest : public EnvelopeTest {
 public:
  MeetingTest(std::string name, double score, Meeting& meeting)
      : name_(std::move(name)), score_(score), meeting_(meeting) {}
  std::string_view name() const override { return name_; }
  std::string_view kind() const override { return "meeting"; }
  bool AppliesTo(const Envelope& envelope) const override { return !envelope.trusted; }
  net::Task<std::optional<Finding>> Run(std::shared_ptr<const Envelope>, Deadline) override {
    ++meeting_.begun;
    meeting_.changed.NotifyAll();
    while (meeting_.begun < meeting_.expected) co_await meeting_.changed.Wait();
    co_return Finding{name_, score_, "met"};
  }

 private:
  const std::string name_;
  const double score_;
  Meeting& meeting_;
};

class EngineTest : public ::testing::Test {
 protected:
  Verdict Check() { return testing::RunTask(loop_, CheckEnvelope(loop_, tests_, envelope_)); }
  net::Loop loop_;
  Meeting meeting_{loop_};
  std::shared_ptr<TestSet> tests_ = std::make_shared<TestSet>();
  std::shared_ptr<Envelope> envelope_ = std::make_shared<Envelope>();
};

TEST_F(EngineTest, TestsRunAtTheSameTimeAndKeepTheirOrder) {
  meeting_.expected = 3;
  for (const char* name : {"one", "two", "three"})
    tests_->envelope.push_back(std::make_shared<MeetingTest>(name, 2, meeting_));
  const Verdict verdict = Check();
  ASSERT_EQ(verdict.findings.size(), 3u);
  EXPECT_EQ(verdict.findings[0].name, "one");
  EXPECT_EQ(verdict.findings[2].name, "three");
  EXPECT_EQ(verdict.score, 6);
  EXPECT_EQ(verdict.action, Verdict::Action::kMark);
  EXPECT_FALSE(verdict.incomplete);
}

TEST_F(EngineTest, TestThatDoesNotEndIsReportedAtTheDeadline) {
  tests_->deadline = milliseconds(50);
  Meeting alone(loop_);
  alone.expected = 2;
  tests_->envelope.push_back(std::make_shared<MeetingTest>("hangs", 9, alone));
  tests_->envelope.push_back(std::make_shared<MeetingTest>("ends", 1, meeting_));
  const Verdict verdict = Check();
  ASSERT_EQ(verdict.findings.size(), 2u);
  EXPECT_EQ(verdict.findings[0].reason, "no answer in time");
  EXPECT_EQ(verdict.score, 1);
  EXPECT_TRUE(verdict.incomplete);
}

TEST_F(EngineTest, TestThatDoesNotApplySaysNothing) {
  envelope_->trusted = true;
  tests_->envelope.push_back(std::make_shared<MeetingTest>("one", 9, meeting_));
  EXPECT_TRUE(Check().findings.empty());
}

TEST(Judge, ComparesTheSumWithBothThresholds) {
  const auto action = [](double score, Thresholds thresholds) {
    return Judge({{"x", score, ""}}, thresholds).action;
  };
  EXPECT_EQ(action(4.9, {5, 20}), Verdict::Action::kAccept);
  EXPECT_EQ(action(5, {5, 20}), Verdict::Action::kMark);
  EXPECT_EQ(action(20, {5, 20}), Verdict::Action::kReject);
  EXPECT_EQ(action(1000, {5, 0}), Verdict::Action::kMark) << "0: never refused";
}

TEST(Judge, ReplyTextIsOneLineOfAscii) {
  Finding finding{"spf", 30, "", "why\r\n250 OK \xc3\xa4"};
  EXPECT_EQ(Judge({finding}, {}).reply_text, "Rejected as spam; why??250 OK ??");
  finding.public_text = std::string(2000, 'x');
  EXPECT_LE(Judge({finding}, {}).reply_text.size(), 300u);
}

TEST(Breaker, OpensAfterFailuresInARowAndClosesAfterASuccess) {
  Breaker breaker("test", {3, milliseconds(1000)});
  const Breaker::Clock::time_point now{};
  breaker.Failed(now);
  breaker.Failed(now);
  breaker.Succeeded();
  breaker.Failed(now);
  breaker.Failed(now);
  EXPECT_TRUE(breaker.Allow(now));
  breaker.Failed(now);
  EXPECT_FALSE(breaker.Allow(now + milliseconds(999)));
  EXPECT_TRUE(breaker.Allow(now + milliseconds(1000)));
  EXPECT_FALSE(breaker.Allow(now + milliseconds(1001))) << "one at a time tries";
  breaker.Failed(now + milliseconds(1500));
  EXPECT_FALSE(breaker.Allow(now + milliseconds(2400)));
  EXPECT_TRUE(breaker.Allow(now + milliseconds(2500)));
  breaker.Succeeded();
  EXPECT_FALSE(breaker.open());
  EXPECT_TRUE(breaker.Allow(now + milliseconds(2501)));
}

TEST(GuardedResolver, AsksNobodyWhileTheBreakerIsOpen) {
  net::Loop loop;
  testing::FakeResolver fake;
  Breaker breaker("test", {2, std::chrono::hours(1)});
  GuardedResolver resolver(fake, breaker);
  const auto ask = [&] {
    return testing::RunTask(loop, resolver.Query("x.example", dns::Type::kA, milliseconds(1000)));
  };
  fake.Fail("x.example", dns::Type::kA, dns::TimeoutError());
  EXPECT_TRUE(dns::IsTimeout(ask().status()));
  EXPECT_TRUE(dns::IsTimeout(ask().status()));
  EXPECT_TRUE(IsLeftAlone(ask().status()));
  EXPECT_EQ(fake.asked().size(), 2u);
}

TEST(GuardedResolver, ServerFailureIsAnAnswer) {
  net::Loop loop;
  testing::FakeResolver fake;
  Breaker breaker("test", {1, std::chrono::hours(1)});
  GuardedResolver resolver(fake, breaker);
  fake.Fail("x.example", dns::Type::kA, absl::UnavailableError("SERVFAIL"));
  (void)testing::RunTask(loop, resolver.Query("x.example", dns::Type::kA, milliseconds(1000)));
  EXPECT_FALSE(breaker.open());
}

}  // namespace
}  // namespace posthorn::spam_service
