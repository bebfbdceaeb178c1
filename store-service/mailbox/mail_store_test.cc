#include "store-service/mailbox/mail_store.h"

#include <gtest/gtest.h>

#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;

TEST_F(MailStoreFixture, DeliversToAnInboxThatDidNotExist) {
  const v1::DeliveryResult result = DeliverOne(Delivery(1, "Subject: a\r\n\r\nbody\r\n"));
  EXPECT_EQ(result.outcome(), v1::DeliveryResult::DELIVERED);
  EXPECT_EQ(result.uid(), 1u);
  EXPECT_GT(result.uid_validity(), 0u);
  EXPECT_EQ(store_->UsageOf(1).messages, 1u);
  EXPECT_EQ(store_->UsageOf(1).bytes, 20 + 13 + 17u);
}

TEST_F(MailStoreFixture, RepeatedDeliveryAnswersWithTheFirstResult) {
  const v1::Delivery delivery = Delivery(1, "x");
  const v1::DeliveryResult first = DeliverOne(delivery);
  const v1::DeliveryResult again = DeliverOne(delivery);
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  Restart();
  const v1::DeliveryResult later = DeliverOne(delivery);
  EXPECT_EQ(first.SerializeAsString(), later.SerializeAsString());
  EXPECT_EQ(store_->UsageOf(1).messages, 1u);
}

class MailboxesTest : public MailStoreFixture {
 protected:
  v1::AppendReply AppendTo(const std::string& mailbox, std::vector<std::string> bodies,
                           std::vector<std::string> keywords = {}) {
    v1::AppendRequest request;
    request.set_mailbox(mailbox);
    for (std::string& body : bodies) {
      auto* message = request.add_messages();
      *message->mutable_blob() = blobs_.Put(std::move(body));
      message->set_zone_minutes(120);
      for (const std::string& keyword : keywords) message->add_keywords(keyword);
    }
    const auto reply = Call(methods::kMailboxesAppend, request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? *reply : v1::AppendReply();
  }
  MailboxId Make(const std::string& name) {
    v1::CreateMailboxRequest request;
    request.set_name(name);
    const auto reply = Call(methods::kMailboxesCreateMailbox, request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? reply->mailbox() : 0;
  }
  v1::StoreFlagsRequest Flags(MailboxId mailbox, Uid first, Uid last, uint32_t flags) {
    v1::StoreFlagsRequest request;
    request.set_mailbox(mailbox);
    auto* range = request.add_uids();
    range->set_first(first);
    range->set_last(last);
    request.set_mode(v1::StoreFlagsRequest::ADD);
    request.set_flags(flags);
    return request;
  }
  // The text of each part; "GONE" or "DAMAGED" for those.
  std::vector<std::string> Read(const v1::ReadMessagesRequest& request, AccountId account = 1) {
    return testing::RunTask(loop_, ReadParts(request, account));
  }
  net::Task<std::vector<std::string>> ReadParts(v1::ReadMessagesRequest request,
                                                AccountId account) {
    std::vector<std::string> parts(static_cast<size_t>(request.parts_size()));
    auto call = gateway_->Start(methods::kMailboxesReadMessages.path, "read", rpc::Flow::kFree,
                                {.ticket = base::StrCat(account)});
    EXPECT_TRUE((co_await call->Write(request)).ok());
    call->WritesDone();
    for (v1::ReadMessagesReply reply;;) {
      const auto more = co_await call->Read(reply);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
      EXPECT_LE(reply.chunk().size(), 65536u);
      if (reply.problem() == v1::ReadMessagesReply::GONE) parts[reply.part()] += "GONE";
      if (reply.problem() == v1::ReadMessagesReply::DAMAGED) parts[reply.part()] += "DAMAGED";
      parts[reply.part()] += reply.chunk();
    }
    co_return parts;
  }
};

TEST_F(MailboxesTest, AppendAnswersUidsAndRefusesOverQuota) {
  const v1::AppendReply reply = AppendTo("INBOX", {"a", "bc"}, {"$x"});
  ASSERT_EQ(reply.uids_size(), 2);
  EXPECT_EQ(reply.uids(1), 2u);
  EXPECT_EQ(reply.reached_size(), 1);
  accounts_.quota = 4;
  v1::AppendRequest request;
  request.set_mailbox("inbox");
  *request.add_messages()->mutable_blob() = blobs_.Put("de");
  EXPECT_EQ(Call(methods::kMailboxesAppend, request).status().code(),
            absl::StatusCode::kResourceExhausted);
  request.set_mailbox("nowhere");
  EXPECT_EQ(Call(methods::kMailboxesAppend, request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(MailboxesTest, RepeatedWriteAnswersWithTheFirstReply) {
  v1::AppendRequest request;
  request.set_operation("once");
  request.set_mailbox("INBOX");
  *request.add_messages()->mutable_blob() = blobs_.Put("x");
  const auto first = Call(methods::kMailboxesAppend, request);
  ASSERT_TRUE(first.ok());
  Restart();
  const auto again = Call(methods::kMailboxesAppend, request);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(first->SerializeAsString(), again->SerializeAsString());
  EXPECT_EQ(store_->UsageOf(1).messages, 1u);
}

// [RFC7162 3.1.3]
TEST_F(MailboxesTest, UnchangedSinceIsDecidedByTheOwner) {
  const v1::AppendReply appended = AppendTo("INBOX", {"a", "b", "c"});
  const MailboxId inbox = appended.mailbox();
  const ModSeq before = appended.reached(0).modseq();
  ASSERT_TRUE(Call(methods::kMailboxesStoreFlags, Flags(inbox, 2, 2, v1::SEEN)).ok());
  v1::StoreFlagsRequest request = Flags(inbox, 1, 3, v1::FLAGGED);
  request.set_unchanged_since(before);
  const auto reply = Call(methods::kMailboxesStoreFlags, request);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->changed(), 2u);
  ASSERT_EQ(reply->modified_size(), 1);
  EXPECT_EQ(reply->modified(0).first(), 2u);
  EXPECT_EQ(reply->modified(0).last(), 2u);
}

TEST_F(MailboxesTest, KeywordNumber129IsRefused) {
  std::vector<std::string> keywords;
  for (int i = 0; i < 128; ++i) keywords.push_back(base::StrCat("k", i));
  const v1::AppendReply appended = AppendTo("INBOX", {"a"}, keywords);
  v1::StoreFlagsRequest request = Flags(appended.mailbox(), 1, 1, 0);
  request.add_keywords("K5");  // known in another case
  EXPECT_TRUE(Call(methods::kMailboxesStoreFlags, request).ok());
  request.add_keywords("one more");
  EXPECT_EQ(Call(methods::kMailboxesStoreFlags, request).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// [RFC6851 3.3]
TEST_F(MailboxesTest, MoveTakesMessagesAlongWithTheirKeywords) {
  const v1::AppendReply appended = AppendTo("INBOX", {"a", "b"}, {"$one", "$two"});
  const MailboxId target = Make("Done");
  v1::CopyRequest request;
  request.set_mailbox(appended.mailbox());
  request.set_target("Done");
  request.set_move(true);
  auto* range = request.add_uids();
  range->set_first(2);
  range->set_last(UINT32_MAX);
  const auto reply = Call(methods::kMailboxesCopy, request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->target_mailbox(), target);
  ASSERT_EQ(reply->source_uids_size(), 1);
  EXPECT_EQ(reply->source_uids(0).first(), 2u);
  EXPECT_EQ(reply->target_uids(0).first(), 1u);
  EXPECT_EQ(reply->reached_size(), 2);
  v1::ReadMessagesRequest read;
  read.set_mailbox(target);
  read.add_parts()->set_uid(1);
  EXPECT_EQ(Read(read), std::vector<std::string>{"b"});
  read.set_mailbox(appended.mailbox());
  read.mutable_parts(0)->set_uid(2);
  EXPECT_EQ(Read(read), std::vector<std::string>{"GONE"});
  EXPECT_EQ(store_->UsageOf(1).messages, 2u);
  Restart();
  EXPECT_EQ(store_->UsageOf(1).bytes, 2u);
}

// [RFC9051 6.3.6]
TEST_F(MailboxesTest, RenamingInboxMovesItsMessagesAndKeepsIt) {
  AppendTo("INBOX", {"a"}, {"$k"});
  v1::RenameMailboxRequest request;
  request.set_from("inbox");
  request.set_to("Old/Mail");
  const auto reply = Call(methods::kMailboxesRenameMailbox, request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(AppendTo("INBOX", {"b"}).uids(0), 2u);
  v1::ReadMessagesRequest read;
  read.set_mailbox(reply->mailbox());
  read.add_parts()->set_uid(1);
  EXPECT_EQ(Read(read), std::vector<std::string>{"a"});
}

TEST_F(MailboxesTest, RenameTakesInferiorsAlong) {
  Make("a/b/c");
  Make("x");
  v1::RenameMailboxRequest request;
  request.set_from("a");
  request.set_to("x");
  EXPECT_EQ(Call(methods::kMailboxesRenameMailbox, request).status().code(),
            absl::StatusCode::kAlreadyExists);
  request.set_to("x/y");
  ASSERT_TRUE(Call(methods::kMailboxesRenameMailbox, request).ok());
  v1::DeleteMailboxRequest remove;
  remove.set_name("x/y/b/c");
  EXPECT_TRUE(Call(methods::kMailboxesDeleteMailbox, remove).ok());
  remove.set_name("a/b/c");
  EXPECT_EQ(Call(methods::kMailboxesDeleteMailbox, remove).status().code(),
            absl::StatusCode::kNotFound);
  remove.set_name("Inbox");
  EXPECT_EQ(Call(methods::kMailboxesDeleteMailbox, remove).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(MailboxesTest, ReadsRangesHeadersAndLargeMessagesInOrder) {
  std::string large = "Subject: large\r\n\r\n";
  while (large.size() < 1000000) large += base::StrCat("line ", large.size(), "\r\n");
  v1::Delivery delivery = Delivery(1, "Subject: s\r\n\r\nbody\r\n");
  const v1::DeliveryResult small = DeliverOne(delivery);
  const Uid uid = AppendTo("INBOX", {large}).uids(0);
  v1::ReadMessagesRequest request;
  request.set_mailbox(small.mailbox());
  request.add_parts()->set_uid(uid);
  auto* header = request.add_parts();
  header->set_uid(small.uid());
  header->set_header_only(true);
  auto* range = request.add_parts();
  range->set_uid(small.uid());
  range->set_offset(15);
  range->set_length(6);
  request.add_parts()->set_uid(99);
  request.add_parts()->set_uid(small.uid());
  const std::string prefix = "Return-Path: <>\r\nReceived: x\r\n";
  const auto parts = Read(request);
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_TRUE(parts[0] == large);
  EXPECT_EQ(parts[1], prefix + "Subject: s\r\n\r\n");
  EXPECT_EQ(parts[2], prefix.substr(15, 6));
  EXPECT_EQ(parts[3], "GONE");
  EXPECT_EQ(parts[4], prefix + "Subject: s\r\n\r\nbody\r\n");
  EXPECT_EQ(Read(request, 2)[0], "GONE");  // another account's ticket
}

TEST_F(MailboxesTest, MissingBlobIsNotDelivered) {
  v1::Delivery delivery = Delivery(1, "x");
  blobs_.Forget(delivery.blob().key());
  EXPECT_EQ(DeliverOne(delivery).outcome(), v1::DeliveryResult::NO_BLOB);
  delivery.set_account(5000);
  EXPECT_EQ(DeliverOne(delivery).outcome(), v1::DeliveryResult::UNKNOWN_ACCOUNT);
}

TEST_F(MailboxesTest, OneRequestDeliversToManyAndToNewMailboxes) {
  v1::DeliverRequest request;
  for (AccountId account = 1; account <= 50; ++account) {
    *request.add_deliveries() = Delivery(account, "x");
    request.mutable_deliveries(static_cast<int>(account - 1))->set_mailbox("Lists/a");
  }
  const auto reply = Call(methods::kMailboxesDeliver, request);
  ASSERT_TRUE(reply.ok());
  for (const v1::DeliveryResult& result : reply->results()) {
    EXPECT_EQ(result.outcome(), v1::DeliveryResult::DELIVERED);
  }
  EXPECT_EQ(store_->UsageOf(50).messages, 1u);
}

v1::SearchTextRequest SearchBodies(MailboxId mailbox, const std::string& needle) {
  v1::SearchTextRequest request;
  request.set_mailbox(mailbox);
  auto* range = request.add_uids();
  range->set_first(1);
  range->set_last(UINT32_MAX);
  request.set_where(v1::SearchTextRequest::BODY);
  request.set_needle(needle);
  return request;
}

// At most `most` replies; ends the call then.
net::Task<std::vector<v1::SearchTextReply>> Search(std::unique_ptr<rpc::RawCall> call,
                                                   v1::SearchTextRequest request, size_t most) {
  std::vector<v1::SearchTextReply> replies;
  EXPECT_TRUE((co_await call->Write(request)).ok());
  call->WritesDone();
  v1::SearchTextReply reply;
  while (replies.size() < most) {
    const auto more = co_await call->Read(reply);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) break;
    replies.push_back(reply);
  }
  co_return replies;
}

TEST_F(MailboxesTest, SearchTextFindsByDecodedBody) {
  const v1::AppendReply appended =
      AppendTo("INBOX", {"A: b\r\n\r\nneedle\r\n", "A: b\r\n\r\nhay\r\n", "\r\nNEEDLE\r\n"});
  auto call =
      gateway_->Start(methods::kMailboxesSearchText.path, "", rpc::Flow::kFree, {.ticket = "1"});
  const auto replies = testing::RunTask(
      loop_, Search(std::move(call), SearchBodies(appended.mailbox(), "Needle"), 10));
  ASSERT_FALSE(replies.empty());
  ASSERT_EQ(replies[0].uids_size(), 2);
  EXPECT_EQ(replies[0].uids(0).last(), 1u);
  EXPECT_EQ(replies[0].uids(1).first(), 3u);
}

TEST_F(MailboxesTest, SearchTextStopsWhenItsCallerGoes) {
  // 100 steps of 200 messages.
  constexpr int kMessages = 20000;
  const std::vector<std::string> bodies(500, "A: b\r\n\r\nhay\r\n");
  MailboxId inbox = 0;
  for (int i = 0; i < kMessages; i += 500) inbox = AppendTo("INBOX", bodies).mailbox();
  auto call = gateway_->Start(methods::kMailboxesSearchText.path, "mail", rpc::Flow::kFree,
                              {.ticket = "1"});
  blobs_.reads = 0;
  testing::RunTask(loop_, Search(std::move(call), SearchBodies(inbox, "needle"), 1));
  // What is asked of the store behind it is answered when the cancellation has arrived.
  int before = -1;
  while (before != blobs_.reads) {
    before = blobs_.reads;
    for (int i = 0; i < 5; ++i) AppendTo("INBOX", {"x"});
  }
  EXPECT_LT(blobs_.reads, kMessages / 2);
}

net::Task<absl::StatusOr<bool>> LockOnce(rpc::RawCall& call) {
  v1::LockMaildropReply reply;
  (void)co_await call.Write(v1::LockMaildropRequest());
  co_return co_await call.Read(reply);
}

// [RFC1939 8]
TEST_F(MailboxesTest, MaildropIsLockedWhileTheCallIsOpen) {
  const auto start = [&] {
    return gateway_->Start(methods::kMailboxesLockMaildrop.path, "", rpc::Flow::kFree,
                           {.ticket = "1"});
  };
  auto first = start();
  const auto locked = testing::RunTask(loop_, LockOnce(*first));
  ASSERT_TRUE(locked.ok() && *locked) << locked.status();
  auto second = start();
  EXPECT_EQ(testing::RunTask(loop_, LockOnce(*second)).status().code(),
            absl::StatusCode::kAlreadyExists);
  first.reset();
  absl::StatusOr<bool> again = false;
  for (int i = 0; i < 1000 && !(again.ok() && *again); ++i) {
    auto third = start();
    again = testing::RunTask(loop_, LockOnce(*third));
  }
  EXPECT_TRUE(again.ok() && *again) << again.status();
}

}  // namespace
}  // namespace posthorn::store_service
