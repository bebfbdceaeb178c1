#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "lib/rpc/client.h"
#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;

// A gateway's end of Attach: keeps what arrived.
class Gateway {
 public:
  Gateway(net::Loop& loop, rpc::Client& client)
      : loop_(&loop),
        call_(client.Start(methods::kSyncAttach.path, "sync", rpc::Flow::kFree, {})) {}

  void Send(const v1::SyncRequest& request) {
    const absl::Status status = testing::RunTask(*loop_, call_->Write(request));
    EXPECT_TRUE(status.ok()) << status;
  }
  void Open(uint64_t view, AccountId account, MailboxId mailbox, uint32_t validity = 0,
            ModSeq known = 0) {
    v1::SyncRequest request;
    auto* open = request.mutable_open();
    open->set_view(view);
    open->set_ticket(base::StrCat(account));
    open->set_mailbox(mailbox);
    open->set_known_uid_validity(validity);
    open->set_known_modseq(known);
    Send(request);
  }
  void OpenAccount(uint64_t view, AccountId account) {
    v1::SyncRequest request;
    request.mutable_open_account()->set_view(view);
    request.mutable_open_account()->set_ticket(base::StrCat(account));
    Send(request);
  }
  void Barrier(uint64_t barrier, AccountId account) {
    v1::SyncRequest request;
    request.mutable_barrier()->set_barrier(barrier);
    request.mutable_barrier()->set_ticket(base::StrCat(account));
    Send(request);
  }
  void Credit(uint64_t view, uint32_t replies) {
    v1::SyncRequest request;
    request.mutable_credit()->set_view(view);
    request.mutable_credit()->set_replies(replies);
    Send(request);
  }
  v1::SyncReply Next() { return testing::RunTask(*loop_, ReadOne()); }
  // Reads until a reply of this kind; the others are kept in `seen`.
  v1::SyncReply Until(v1::SyncReply::ReplyCase kind) {
    for (;;) {
      v1::SyncReply reply = Next();
      if (reply.reply_case() == kind || reply.reply_case() == v1::SyncReply::REPLY_NOT_SET) {
        return reply;
      }
      seen.push_back(std::move(reply));
    }
  }

  std::vector<v1::SyncReply> seen;

 private:
  net::Task<v1::SyncReply> ReadOne() {
    v1::SyncReply reply;
    const auto more = co_await call_->Read(reply);
    EXPECT_TRUE(more.ok() && *more) << more.status();
    co_return reply;
  }

  net::Loop* loop_;
  std::unique_ptr<rpc::RawCall> call_;
};

class SyncTest : public MailStoreFixture {
 protected:
  MailboxId Inbox(AccountId account) {
    Gateway gateway(loop_, *gateway_);
    gateway.OpenAccount(1, account);
    const v1::SyncReply reply = gateway.Next();
    for (const v1::MailboxState& mailbox : reply.account().mailboxes()) {
      if (mailbox.name() == "INBOX") return mailbox.mailbox();
    }
    return 0;
  }
  v1::StoreFlagsReply Store(MailboxId mailbox, Uid uid, uint32_t flags,
                            std::vector<std::string> keywords = {}) {
    v1::StoreFlagsRequest request;
    request.set_operation(base::StrCat("op", ++operations_));
    request.set_mailbox(mailbox);
    auto* range = request.add_uids();
    range->set_first(uid);
    range->set_last(uid);
    request.set_mode(v1::StoreFlagsRequest::ADD);
    request.set_flags(flags);
    for (std::string& keyword : keywords) request.add_keywords(std::move(keyword));
    const auto reply = Call(methods::kMailboxesStoreFlags, request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : v1::StoreFlagsReply();
  }
  v1::ExpungeReply ExpungeUid(MailboxId mailbox, Uid uid) {
    v1::ExpungeRequest request;
    request.set_operation(base::StrCat("op", ++operations_));
    request.set_mailbox(mailbox);
    auto* range = request.add_uids();
    range->set_first(uid);
    range->set_last(uid);
    const auto reply = Call(methods::kMailboxesExpunge, request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : v1::ExpungeReply();
  }
  int operations_ = 0;
};

TEST_F(SyncTest, NewAccountHasInboxAndSpecialUseMailboxes) {
  Gateway gateway(loop_, *gateway_);
  gateway.OpenAccount(1, 7);
  const v1::SyncReply reply = gateway.Next();
  ASSERT_TRUE(reply.has_account());
  EXPECT_TRUE(reply.account().full());
  EXPECT_EQ(reply.account().mailboxes_size(), 6);
  EXPECT_EQ(reply.account().subscriptions_size(), 6);
}

TEST_F(SyncTest, SnapshotThenDeltasInOrder) {
  DeliverOne(Delivery(1, "one"));
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(5, 1, inbox);
  const v1::SyncReply snapshot = gateway.Next();
  ASSERT_TRUE(snapshot.has_chunk());
  EXPECT_TRUE(snapshot.chunk().first());
  EXPECT_TRUE(snapshot.chunk().last());
  EXPECT_FALSE(snapshot.chunk().incremental());
  ASSERT_EQ(snapshot.chunk().rows().uid_size(), 1);
  EXPECT_EQ(snapshot.chunk().rows().size(0), 3 + 13 + 17u);
  EXPECT_EQ(snapshot.chunk().uid_next(), 2u);
  DeliverOne(Delivery(1, "two"));
  const v1::SyncReply added = gateway.Next();
  ASSERT_EQ(added.delta().added().uid_size(), 1);
  EXPECT_EQ(added.delta().added().uid(0), 2u);
  EXPECT_EQ(added.delta().uid_next(), 3u);
  EXPECT_GT(added.delta().modseq(), snapshot.chunk().modseq());
  Store(inbox, 2, v1::SEEN, {"$Work"});
  const v1::SyncReply changed = gateway.Next();
  ASSERT_EQ(changed.delta().changed().uid_size(), 1);
  EXPECT_EQ(changed.delta().changed().flags(0), 1u);
  EXPECT_EQ(changed.delta().changed().keywords_low(0), 1u);
  EXPECT_EQ(changed.delta().new_keywords(0), "$Work");
  EXPECT_EQ(changed.delta().operation(), "op1");
  ExpungeUid(inbox, 1);
  const v1::SyncReply expunged = gateway.Next();
  ASSERT_EQ(expunged.delta().expunged_size(), 1);
  EXPECT_EQ(expunged.delta().expunged(0).first(), 1u);
}

TEST_F(SyncTest, OpenWithKnownModseqBringsOnlyTheChanges) {
  for (int i = 0; i < 3; ++i) DeliverOne(Delivery(1, "x"));
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 1, inbox);
  const v1::ViewChunk first = gateway.Next().chunk();
  ExpungeUid(inbox, 1);
  Store(inbox, 2, v1::FLAGGED);
  DeliverOne(Delivery(1, "y"));
  gateway.Open(2, 1, inbox, first.uid_validity(), first.modseq());
  v1::SyncReply reply = gateway.Until(v1::SyncReply::kChunk);
  EXPECT_TRUE(reply.chunk().incremental());
  ASSERT_EQ(reply.chunk().expunged_size(), 1);
  EXPECT_EQ(reply.chunk().expunged(0).first(), 1u);
  ASSERT_EQ(reply.chunk().rows().uid_size(), 2);
  EXPECT_EQ(reply.chunk().rows().uid(0), 2u);
  EXPECT_EQ(reply.chunk().rows().uid(1), 4u);
}

TEST_F(SyncTest, BarrierComesAfterWhatWasCommittedBeforeIt) {
  DeliverOne(Delivery(1, "x"));
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 1, inbox);
  gateway.Until(v1::SyncReply::kChunk);
  for (int i = 0; i < 40; ++i) DeliverOne(Delivery(1, "y"));
  gateway.Barrier(9, 1);
  gateway.Credit(1, 1000);
  const v1::SyncReply done = gateway.Until(v1::SyncReply::kBarrier);
  EXPECT_EQ(done.barrier().barrier(), 9u);
  EXPECT_EQ(gateway.seen.size(), 40u);
}

TEST_F(SyncTest, ViewWithoutCreditIsSilentAndTheOthersAreNot) {
  DeliverOne(Delivery(1, "x"));
  DeliverOne(Delivery(2, "x"));
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 1, inbox);
  gateway.Open(2, 2, Inbox(2));
  gateway.Next();
  gateway.Next();
  for (int i = 0; i < 30; ++i) DeliverOne(Delivery(1, "y"));
  DeliverOne(Delivery(2, "z"));
  v1::SyncReply reply;
  int of_first = 0;
  for (;;) {
    reply = gateway.Until(v1::SyncReply::kDelta);
    if (reply.delta().view() == 2) break;
    ++of_first;
  }
  EXPECT_EQ(of_first, 15);  // 16, and one was the snapshot
}

TEST_F(SyncTest, ForeignTicketAndMissingMailboxAreRefused) {
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 666, 1);
  EXPECT_EQ(gateway.Next().closed().reason(), v1::ViewClosed::DENIED);
  gateway.Open(2, 1, 99);
  EXPECT_EQ(gateway.Next().closed().reason(), v1::ViewClosed::NOT_FOUND);
}

TEST_F(SyncTest, AccountViewFollowsMailboxesAndSubscriptions) {
  Gateway gateway(loop_, *gateway_);
  gateway.OpenAccount(1, 1);
  gateway.Next();
  v1::CreateMailboxRequest create;
  create.set_operation("c");
  create.set_name("Work/2024");
  ASSERT_TRUE(Call(methods::kMailboxesCreateMailbox, create).ok());
  v1::SyncReply reply = gateway.Next();
  EXPECT_EQ(reply.account().mailboxes_size(), 2);  // with the superior level
  v1::SubscribeRequest subscribe;
  subscribe.set_name("Work/2024");
  subscribe.set_subscribed(true);
  ASSERT_TRUE(Call(methods::kMailboxesSubscribe, subscribe).ok());
  reply = gateway.Next();
  EXPECT_TRUE(reply.account().subscriptions_changed());
  EXPECT_EQ(reply.account().subscriptions_size(), 7);
  v1::DeleteMailboxRequest remove;
  remove.set_name("Work/2024");
  ASSERT_TRUE(Call(methods::kMailboxesDeleteMailbox, remove).ok());
  EXPECT_EQ(gateway.Next().account().deleted_size(), 1);
}

TEST_F(SyncTest, DeletedMailboxClosesItsViews) {
  v1::CreateMailboxRequest create;
  create.set_name("x");
  const auto made = Call(methods::kMailboxesCreateMailbox, create);
  ASSERT_TRUE(made.ok());
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 1, made->mailbox());
  gateway.Next();
  v1::DeleteMailboxRequest remove;
  remove.set_name("x");
  ASSERT_TRUE(Call(methods::kMailboxesDeleteMailbox, remove).ok());
  EXPECT_EQ(gateway.Next().closed().reason(), v1::ViewClosed::DELETED);
}

// A cluster that loses its quorum may refuse a COMMIT that happens all the same: it comes to nobody
// as a batch, and what comes next hides that something is missing.
TEST_F(SyncTest, CommitThatHappenedThoughItWasRefusedIsNotMissingFromAnyView) {
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(7, 1, inbox);
  const v1::SyncReply first = gateway.Next();
  gateway.OpenAccount(8, 1);
  gateway.Next();
  auto fault = FaultyDatabase::Fault::kAwayAfter;
  database_->fault = [&] { return std::exchange(fault, FaultyDatabase::Fault::kNone); };
  EXPECT_EQ(DeliverOne(Delivery(1, "one")).outcome(), v1::DeliveryResult::DELIVERED);
  EXPECT_EQ(DeliverOne(Delivery(1, "two")).outcome(), v1::DeliveryResult::DELIVERED);
  for (int views = 0; views < 2; ++views) {
    EXPECT_EQ(gateway.Until(v1::SyncReply::kClosed).closed().reason(), v1::ViewClosed::AGAIN);
  }
  gateway.Open(9, 1, inbox, first.chunk().uid_validity(), first.chunk().modseq());
  const v1::SyncReply news = gateway.Until(v1::SyncReply::kChunk);
  EXPECT_TRUE(news.chunk().incremental());
  EXPECT_EQ(news.chunk().rows().uid_size(), 2);
}

TEST_F(SyncTest, EndedSessionsAreDenied) {
  const MailboxId inbox = Inbox(1);
  Gateway gateway(loop_, *gateway_);
  gateway.Open(1, 1, inbox);
  gateway.Next();
  store_->EndSessions(1);
  EXPECT_EQ(gateway.Next().closed().reason(), v1::ViewClosed::DENIED);
}

}  // namespace
}  // namespace posthorn::store_service
