// Transactions of a queue whose entries may become another's.

#include <gmock/gmock.h>

#include "delivery-queue/remote/remote_fixture.h"
#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Kind = RemoteOutcome::Kind;

double CounterValue(std::string_view cause) {
  return observe::NewCounter("posthorn_queue_possible_doubles_total", "", {{"cause", cause}})
      ->value();
}

class LeaseTest : public RemoteTest {
 protected:
  // Allowed so many times: when a transaction begins, before its dot, and behind it.
  void Permit(int times) {
    permits_ = times;
    delivery_->SetPermit([this] { return permits_-- > 0; });
  }
  int permits_ = 0;
};

TEST_F(LeaseTest, TheFinalDotIsNotSentWithoutPermission) {
  Permit(1);
  const RemoteOutcome outcome = Send("a@far.test");
  EXPECT_EQ(outcome.kind, Kind::kDeferred);
  EXPECT_THAT(sink_.commands, Contains("DATA"));
  EXPECT_THAT(sink_.mails, IsEmpty());
}

TEST_F(LeaseTest, NoTransactionBeginsWithoutPermission) {
  delivery_->SetPermit([this] { return permits_ > 0; });
  Submit(Message({"a@far.test"}));
  testing::RunTask(loop_, [](net::Loop& loop, SmtpSink& sink) -> net::Task<void> {
    while (sink.connections == 0) co_await net::Sleep(loop, std::chrono::milliseconds(1));
    co_await net::Sleep(loop, std::chrono::milliseconds(50));  // no command comes
  }(loop_, sink_));
  EXPECT_THAT(sink_.commands, Not(Contains("DATA")));
  permits_ = 1;
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(1));
}

// Whoever has the entry then may send it a second time.
TEST_F(LeaseTest, APauseBehindTheDotIsCounted) {
  const double before = CounterValue("lease_lost");
  Permit(2);
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_EQ(CounterValue("lease_lost"), before + 1);
}

TEST_F(LeaseTest, AConnectionThatBreaksBehindTheDotIsCounted) {
  const double before = CounterValue("no_reply");
  sink_.Answer(".", "");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kDeferred);
  EXPECT_EQ(CounterValue("no_reply"), before + 1);
}

}  // namespace
}  // namespace posthorn::delivery_queue
