// Entries that come back: after a journal that refused them, and from replicas that died.

#include <gmock/gmock.h>

#include "delivery-queue/core/mail_queue_fixture.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::SizeIs;

class RecoveryTest : public MailQueueTest {
 protected:
  RecoveryTest() {
    auto journal = std::make_unique<MemoryJournal>(loop_);
    memory_ = journal.get();
    Stop();
    Start(std::move(journal));
    MakeList("list@a.test", 2500);
  }
  static EntryKey PartOf(const Entry& entry, uint32_t part) {
    return {*base::MessageId::FromBytes(entry.message_id()), part};
  }
  // As many turns as an expansion takes, and more.
  void Turn() {
    testing::RunTask(loop_, [](net::Loop& loop) -> net::Task<void> {
      for (int i = 0; i < 100; ++i) co_await net::Sleep(loop, std::chrono::milliseconds(0));
    }(loop_));
  }
  static StoredEntry Page(const Entry& entry, uint32_t part) {
    StoredEntry stored;
    *stored.mutable_entry() = entry;
    stored.set_part(part);
    stored.set_expanded(part != 0);
    return stored;
  }
  MemoryJournal* memory_;
};

TEST_F(RecoveryTest, AListWhoseFirstPageCannotBeStoredReachesEveryMemberOnce) {
  const Entry entry = Message("x@far.test", {"list@a.test"});
  const EntryKey first = PartOf(entry, 0);
  memory_->refuse = [&](EntryKey key) { return key == first && memory_->puts[key] == 2; };
  ASSERT_TRUE(Accept(entry).ok());
  RunUntilEmpty();
  EXPECT_EQ(store_.order.size(), 2500U);
  EXPECT_THAT(store_.copies, SizeIs(2500));
}

// The replica died while it wrote a list's pages: they count for nothing. Ours of the same name do,
// however late the others come.
TEST_F(RecoveryTest, PagesOfABrokenExpansionDoNotEndTheNewOnes) {
  store_.failures = 1'000'000;
  const Entry entry = Message("x@far.test", {"list@a.test"});
  Entry half = entry;
  half.clear_recipients();
  half.add_recipients()->set_account(100);
  memory_->held.emplace();
  memory_->Inherit(PartOf(entry, 0), Page(entry, 0));
  Turn();
  memory_->Inherit(PartOf(entry, 1), Page(half, 1));
  memory_->heir.end(true);
  memory_->Release();
  RunUntil([&] { return memory_->puts.contains(PartOf(entry, 2)); });
  Turn();
  for (const uint32_t part : {0U, 1U, 2U})
    EXPECT_THAT(memory_->records, Contains(Key(PartOf(entry, part))));
  store_.failures = 0;
  RunUntilEmpty();
  EXPECT_THAT(store_.copies, SizeIs(2500));
}

TEST_F(RecoveryTest, AnExpansionThatOutlivesItsQueueWritesNothing) {
  const Entry entry = Message("x@far.test", {"list@a.test"});
  memory_->held.emplace();
  memory_->Inherit(PartOf(entry, 0), Page(entry, 0));
  memory_->heir.end(true);
  RunUntil([&] { return memory_->puts.contains(PartOf(entry, 2)); });
  queue_.reset();
  memory_->Release();
  Turn();
  EXPECT_FALSE(memory_->puts.contains(PartOf(entry, 0)));
}

TEST_F(RecoveryTest, WhatIsInheritedIsDeliveredWhenTheNextMessageOrTheEndIsTold) {
  const Entry one = Message("x@far.test", {"alice@a.test"});
  const Entry two = Message("x@far.test", {"bob@a.test"});
  memory_->Inherit(PartOf(one, 0), Page(one, 0));
  memory_->Inherit(PartOf(two, 0), Page(two, 0));
  RunUntil([&] { return !store_.order.empty(); });
  memory_->heir.end(false);
  RunUntilEmpty();
  EXPECT_THAT(store_.copies, SizeIs(2));
}

}  // namespace
}  // namespace posthorn::delivery_queue
