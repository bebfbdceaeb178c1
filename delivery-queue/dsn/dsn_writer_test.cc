#include "delivery-queue/dsn/dsn_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {
namespace {

using Action = ReportRequest::Action;
using queue::v1::Entry;
using queue::v1::StoredEntry;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class FakeStore : public Bodies, public BlobWriter {
 public:
  std::unique_ptr<BodyStream> Open(uint64_t, uint64_t) override {
    return std::make_unique<Stream>(*this);
  }
  net::Task<absl::StatusOr<common::v1::BlobId>> Put(std::string bytes, std::string) override {
    written = std::move(bytes);
    common::v1::BlobId blob;
    blob.set_key(77);
    co_return blob;
  }
  std::string body = "Subject: hello\r\n\r\nthe text\r\n";
  absl::Status failure;
  size_t chunk = 5;
  std::string written;

 private:
  class Stream : public BodyStream {
   public:
    explicit Stream(FakeStore& store) : store_(store), left_(store.body) {}
    net::Task<absl::StatusOr<std::string>> Next() override {
      if (!store_.failure.ok()) co_return store_.failure;
      std::string next = left_.substr(0, store_.chunk);
      left_.erase(0, store_.chunk);
      co_return next;
    }

   private:
    FakeStore& store_;
    std::string left_;
  };
};

// What differs from run to run by a fixed word.
std::string Golden(const std::string& text) {
  std::string out = std::regex_replace(text, std::regex("[0-9A-HJKMNP-TV-Z]{26}"), "ID");
  return std::regex_replace(
      out, std::regex("[A-Z][a-z]{2}, [0-9]+ [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} \\+0000"), "DATE");
}

class DsnWriterTest : public ::testing::Test {
 protected:
  DsnWriterTest() : stored_(std::make_shared<StoredEntry>()) {
    Entry* entry = stored_->mutable_entry();
    entry->set_message_id(std::string(base::MessageId::New().bytes()));
    entry->set_sender("jo@us.test");
    entry->set_prefix("Received: by us\r\n");
    entry->mutable_blob()->set_key(1);
    AddRecipient("a@far.test", "5.1.1", "550 5.1.1 No such user", "mx.far.test");
    AddRecipient("b@far.test", "5.4.4", "550 5.4.4 No host has an address", "");
  }
  void AddRecipient(const std::string& address, const std::string& status, const std::string& reply,
                    const std::string& host) {
    stored_->mutable_entry()->add_recipients()->set_address(address);
    auto* state = stored_->add_states();
    state->set_status(status);
    state->set_last_reply(reply);
    state->set_host(host);
    state->set_replied(!host.empty());
  }
  absl::StatusOr<std::optional<Entry>> Write(std::vector<int> recipients,
                                             Action action = Action::kFailed) {
    return testing::RunTask(
        loop_, writer_.Write({stored_, action, std::move(recipients), 1'000'000'000'000}));
  }

  net::Loop loop_;
  FakeStore store_;
  DsnWriter writer_{store_, store_, [] { return std::string("mail.us.test"); }};
  std::shared_ptr<StoredEntry> stored_;
};

// [RFC3464 2], [RFC6522 3]: every byte of it, in chunks of the body of 1, 7 and all.
TEST_F(DsnWriterTest, AFailureIsReportedInFull) {
  stored_->mutable_entry()->set_envid("QQ314159");
  stored_->mutable_entry()->mutable_recipients(0)->set_orcpt("rfc822;team@us.test");
  for (const size_t chunk : {1, 7, 1000}) {
    store_.chunk = chunk;
    ASSERT_TRUE(Write({0, 1}).ok());
    EXPECT_EQ(Golden(store_.written),
              "From: Mail Delivery System <mailer-daemon@mail.us.test>\r\n"
              "To: <jo@us.test>\r\n"
              "Subject: Undelivered mail returned to sender\r\n"
              "Date: DATE\r\n"
              "Message-ID: <ID@mail.us.test>\r\n"
              "Auto-Submitted: auto-replied\r\n"
              "MIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n"
              "\tboundary=\"=_ID\"\r\n"
              "\r\n--=_ID\r\n"
              "Content-Type: text/plain; charset=utf-8\r\n"
              "Content-Transfer-Encoding: 7bit\r\n\r\n"
              "This is the mail system at mail.us.test.\r\n\r\n"
              "Your message could not be delivered to the following recipients:\r\n\r\n"
              "  <a@far.test>\r\n"
              "    mx.far.test said:\r\n"
              "    550 5.1.1 No such user\r\n\r\n"
              "  <b@far.test>\r\n"
              "    550 5.4.4 No host has an address\r\n\r\n"
              "The header of the message is attached.\r\n"
              "\r\n--=_ID\r\n"
              "Content-Type: message/delivery-status\r\n\r\n"
              "Original-Envelope-Id: QQ314159\r\n"
              "Reporting-MTA: dns; mail.us.test\r\n"
              "Arrival-Date: DATE\r\n\r\n"
              "Original-Recipient: rfc822; team@us.test\r\n"
              "Final-Recipient: rfc822; a@far.test\r\n"
              "Action: failed\r\n"
              "Status: 5.1.1\r\n"
              "Remote-MTA: dns; mx.far.test\r\n"
              "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
              "Last-Attempt-Date: DATE\r\n\r\n"
              "Final-Recipient: rfc822; b@far.test\r\n"
              "Action: failed\r\n"
              "Status: 5.4.4\r\n"
              "Diagnostic-Code: x-posthorn; 550 5.4.4 No host has an address\r\n"
              "Last-Attempt-Date: DATE\r\n"
              "\r\n--=_ID\r\n"
              "Content-Type: text/rfc822-headers\r\n\r\n"
              "Received: by us\r\n"
              "Subject: hello\r\n"
              "\r\n--=_ID--\r\n");
  }
}

// [RFC3464 2.3.3, 2.3.9], [RFC3461 6.2]
TEST_F(DsnWriterTest, ADelayIsReportedInFull) {
  stored_->mutable_entry()->set_ret("FULL");
  auto* state = stored_->mutable_states(0);
  state->set_status("4.2.0");
  state->set_last_reply("451 4.2.0 Greylisted");
  const Entry entry = Write({0}, Action::kDelayed).value().value();
  EXPECT_EQ(entry.subject(), "Delayed mail, still being tried");
  EXPECT_EQ(entry.recipients(0).address(), "jo@us.test");
  EXPECT_EQ(Golden(store_.written),
            "From: Mail Delivery System <mailer-daemon@mail.us.test>\r\n"
            "To: <jo@us.test>\r\n"
            "Subject: Delayed mail, still being tried\r\n"
            "Date: DATE\r\n"
            "Message-ID: <ID@mail.us.test>\r\n"
            "Auto-Submitted: auto-replied\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status;\r\n"
            "\tboundary=\"=_ID\"\r\n"
            "\r\n--=_ID\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 7bit\r\n\r\n"
            "This is the mail system at mail.us.test.\r\n\r\n"
            "Your message could not be delivered yet. It will be tried again; you need not do "
            "anything.\r\n"
            "These recipients do not have it:\r\n\r\n"
            "  <a@far.test>\r\n"
            "    mx.far.test said:\r\n"
            "    451 4.2.0 Greylisted\r\n\r\n"
            "Attempts go on until DATE.\r\n\r\n"
            "The header of the message is attached.\r\n"
            "\r\n--=_ID\r\n"
            "Content-Type: message/delivery-status\r\n\r\n"
            "Reporting-MTA: dns; mail.us.test\r\n"
            "Arrival-Date: DATE\r\n\r\n"
            "Final-Recipient: rfc822; a@far.test\r\n"
            "Action: delayed\r\n"
            "Status: 4.2.0\r\n"
            "Remote-MTA: dns; mx.far.test\r\n"
            "Diagnostic-Code: smtp; 451 4.2.0 Greylisted\r\n"
            "Last-Attempt-Date: DATE\r\n"
            "Will-Retry-Until: DATE\r\n"
            "\r\n--=_ID\r\n"
            "Content-Type: text/rfc822-headers\r\n\r\n"
            "Received: by us\r\n"
            "Subject: hello\r\n"
            "\r\n--=_ID--\r\n");
}

TEST_F(DsnWriterTest, ExpiredMailSaysSoAndQuotesTheLastAnswer) {  // [RFC3463 3.5]
  auto* state = stored_->mutable_states(0);
  state->set_status("4.4.7");
  state->set_last_reply("451 4.2.0 Greylisted");
  state->set_attempts(17);
  stored_->mutable_entry()->set_received_ms(base::WallMillis() - int64_t{5} * 86'400'000);
  ASSERT_TRUE(Write({0}).ok());
  EXPECT_THAT(store_.written, HasSubstr("given up after 5 days and 17 attempts; the last one "
                                        "ended so:\r\n    mx.far.test said:\r\n"));
  EXPECT_THAT(store_.written, HasSubstr("Action: failed\r\nStatus: 4.4.7\r\n"
                                        "Remote-MTA: dns; mx.far.test\r\n"
                                        "Diagnostic-Code: smtp; 451 4.2.0 Greylisted\r\n"));
}

TEST_F(DsnWriterTest, DelaysAreToldToThoseWhoDidNotRuleItOut) {  // [RFC3461 4.1]
  stored_->mutable_entry()->mutable_recipients(0)->set_notify("FAILURE");
  EXPECT_FALSE(Write({0}, Action::kDelayed).value().has_value());
  stored_->mutable_entry()->mutable_recipients(0)->set_notify("FAILURE,DELAY");
  EXPECT_TRUE(Write({0}, Action::kDelayed).value().has_value());
  EXPECT_NE(Write({0}, Action::kDelayed).value()->message_id(), Write({0}).value()->message_id());
}

TEST_F(DsnWriterTest, TheReportGoesToTheSenderFromTheNullPath) {  // [RFC3461 6.1]
  const Entry entry = Write({0}).value().value();
  EXPECT_EQ(entry.sender(), "");
  ASSERT_EQ(entry.recipients_size(), 1);
  EXPECT_EQ(entry.recipients(0).address(), "jo@us.test");
  EXPECT_EQ(entry.blob().key(), 77U);
  EXPECT_EQ(entry.parent_id(), stored_->entry().message_id());
  EXPECT_EQ(entry.hops(), 1U);
}

TEST_F(DsnWriterTest, TheWholeMessageComesBackWhenAskedFor) {  // [RFC3461 4.3]
  stored_->mutable_entry()->set_ret("FULL");
  ASSERT_TRUE(Write({0}).ok());
  EXPECT_THAT(Golden(store_.written), HasSubstr("Content-Type: message/rfc822\r\n\r\n"
                                                "Received: by us\r\nSubject: hello\r\n\r\n"
                                                "the text\r\n\r\n--=_ID--\r\n"));
}

TEST_F(DsnWriterTest, AMessageTooLargeToComeBackIsItsHeader) {
  stored_->mutable_entry()->set_ret("FULL");
  stored_->mutable_entry()->mutable_blob()->set_size(2'000'000);
  ASSERT_TRUE(Write({0}).ok());
  EXPECT_THAT(store_.written, HasSubstr("Content-Type: text/rfc822-headers\r\n"));
  EXPECT_THAT(store_.written, Not(HasSubstr("the text")));
}

TEST_F(DsnWriterTest, AHeaderWithoutEndIsCut) {
  store_.body = "Subject: " + std::string(1'000'000, 'x');
  store_.chunk = 65536;
  ASSERT_TRUE(Write({0}).ok());
  EXPECT_LT(store_.written.size(), 70'000U);
}

TEST_F(DsnWriterTest, TheSameFailuresMakeTheSameReportAndOthersAnother) {
  const std::string first = Write({0}).value()->message_id();
  EXPECT_EQ(Write({0}).value()->message_id(), first);
  EXPECT_NE(Write({1}).value()->message_id(), first);
}

TEST_F(DsnWriterTest, WhoAskedForNoReportGetsNone) {  // [RFC3461 4.1]
  stored_->mutable_entry()->mutable_recipients(0)->set_notify("NEVER");
  EXPECT_FALSE(Write({0}).value().has_value());
  EXPECT_THAT(store_.written, IsEmpty());
  ASSERT_TRUE(Write({0, 1}).value().has_value());
  EXPECT_THAT(store_.written, Not(HasSubstr("a@far.test")));
}

TEST_F(DsnWriterTest, AStoreThatIsAwayMeansLaterAndALostBodyDoesNot) {
  store_.failure = base::Unavailable("away");
  EXPECT_FALSE(Write({0}).ok());
  store_.failure = base::NotFound("gone");
  EXPECT_TRUE(Write({0}).ok());
}

}  // namespace
}  // namespace posthorn::delivery_queue
