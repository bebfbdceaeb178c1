// Every call that acts for an account takes that account from its ticket alone. Held here, method
// by method over real connections, against tickets that are none, forged, altered, expired or void,
// and against a good ticket of somebody else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/mailbox/mail_store_fixture.h"
#include "store-service/service/test_tickets.h"

namespace posthorn::store_service {
namespace {

namespace methods = rpc::store;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPrivate[] = "Bob's private words";

// How a call ended and every byte that came with it.
struct Heard {
  absl::Status status;
  std::string bytes;
};

// What the call does when `ticket` is shown; `mailbox` and `name` say which one it is about.
// `foreign`: how it ends when they are somebody else's and the account of the ticket has none such.
struct Case {
  std::string method;
  absl::StatusCode foreign;
  std::function<Heard(const std::string& ticket, MailboxId mailbox, const std::string& name)> call;
};

template <class Q>
Q WithUids(MailboxId mailbox) {
  Q request;
  request.set_mailbox(mailbox);
  auto* range = request.add_uids();
  range->set_first(1);
  range->set_last(100);
  return request;
}

class TicketsTest : public MailStoreFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  TicketsTest() : signer_(kTicketKey, accounts_) {
    accounts_.signer = &signer_;
    client_ = rpc::Client::Create(loop_, {base::StrCat("unix:", dir_.path(), "/", GetParam())});
    // Bob's INBOX has a twin of the same number in Mallory's account; "Diary" has none.
    DeliverOne(Delivery(kBob, base::StrCat("Subject: x\r\n\r\n", kPrivate)));
    v1::Delivery diary = Delivery(kBob, base::StrCat("Subject: x\r\n\r\n", kPrivate));
    diary.set_mailbox("Diary");
    diary_ = DeliverOne(diary).mailbox();
    inbox_ = DeliverOne(Delivery(kMallory, "Subject: y\r\n\r\nMallory's own")).mailbox();
    Fill();
  }
  ~TicketsTest() override { client_.reset(); }

  template <class M, class Q>
  Heard Once(M method, Q request, const std::string& ticket) {
    const auto reply =
        testing::RunTask(loop_, client_->Call(method, {.ticket = ticket}, std::move(request)));
    return {reply.status(), reply.ok() ? reply->SerializeAsString() : ""};
  }
  template <class M, class Q>
  Heard Stream(M method, Q request, const std::string& ticket) {
    return testing::RunTask(loop_, ReadAll<typename M::Reply>(method.path, request, ticket));
  }
  template <class R, class Q>
  net::Task<Heard> ReadAll(std::string_view path, Q request, std::string ticket) {
    Heard heard;
    const auto call = client_->Start(path, "", rpc::Flow::kFree, {.ticket = ticket});
    (void)co_await call->Write(request);
    call->WritesDone();
    // A lock is answered and then held: one reply is enough.
    const bool endless = path == methods::kMailboxesLockMaildrop.path;
    for (R reply;;) {
      const auto more = co_await call->Read(reply);
      heard.status = more.status();
      if (!more.ok() || !*more) break;
      heard.bytes += reply.SerializeAsString();
      if (endless) break;
    }
    co_return heard;
  }
  // The first reply to a request on a Sync stream.
  v1::SyncReply Sync(const v1::SyncRequest& request) {
    return testing::RunTask(loop_, SyncOnce(request));
  }
  net::Task<v1::SyncReply> SyncOnce(v1::SyncRequest request) {
    const auto call = client_->Start(methods::kSyncAttach.path, "", rpc::Flow::kFree, {});
    EXPECT_TRUE((co_await call->Write(request)).ok());
    v1::SyncReply reply;
    const auto more = co_await call->Read(reply);
    EXPECT_TRUE(more.ok() && *more) << more.status();
    co_return reply;
  }
  v1::SyncReply OpenMailbox(const std::string& ticket, MailboxId mailbox) {
    v1::SyncRequest request;
    request.mutable_open()->set_view(1);
    request.mutable_open()->set_ticket(ticket);
    request.mutable_open()->set_mailbox(mailbox);
    return Sync(request);
  }
  v1::SyncReply OpenAccount(const std::string& ticket) {
    v1::SyncRequest request;
    request.mutable_open_account()->set_view(1);
    request.mutable_open_account()->set_ticket(ticket);
    return Sync(request);
  }
  // Everything Bob has, with all his modseqs and counters.
  std::string AllOfBob() {
    const v1::SyncReply account = OpenAccount(Good(kBob));
    std::string all = account.SerializeAsString();
    for (const v1::MailboxState& mailbox : account.account().mailboxes()) {
      all += OpenMailbox(Good(kBob), mailbox.mailbox()).SerializeAsString();
    }
    const Usage usage = store_->UsageOf(kBob);
    return base::StrCat(all, " ", usage.bytes, " ", usage.messages);
  }

  const Case& Named(std::string_view method) const {
    return *std::find_if(cases_.begin(), cases_.end(),
                         [method](const Case& one) { return one.method == method; });
  }
  template <class M, class Make>
  void AddWrite(const std::string& name, M method, Make make,
                absl::StatusCode foreign = absl::StatusCode::kNotFound) {
    const auto call = [this, method, make](const std::string& ticket, MailboxId mailbox,
                                           const std::string& box) {
      auto request = make(mailbox, box);
      request.set_operation(base::StrCat("op", ++operations_));
      return Once(method, std::move(request), ticket);
    };
    cases_.push_back({name, foreign, call});
  }
  template <class M, class Make>
  void AddRead(const std::string& name, M method, Make make) {
    const auto call = [this, method, make](const std::string& ticket, MailboxId mailbox,
                                           const std::string&) {
      return Stream(method, make(mailbox), ticket);
    };
    cases_.push_back({name, absl::StatusCode::kOk, call});
  }
  void Fill() {
    FillNamed();
    FillNumbered();
    FillReads();
    FillCreation();
  }
  void FillNamed();
  void FillNumbered();
  void FillReads();
  void FillCreation();

  TicketSigner signer_;
  std::unique_ptr<rpc::Client> client_;
  MailboxId inbox_ = 0, diary_ = 0;
  std::vector<Case> cases_;
  int operations_ = 0;
};

void TicketsTest::FillNamed() {
  AddWrite("DeleteMailbox", methods::kMailboxesDeleteMailbox,
           [](MailboxId, const std::string& name) {
             v1::DeleteMailboxRequest request;
             request.set_name(name);
             return request;
           });
  AddWrite("RenameMailbox", methods::kMailboxesRenameMailbox,
           [](MailboxId, const std::string& name) {
             v1::RenameMailboxRequest request;
             request.set_from(name);
             request.set_to("Taken");
             return request;
           });
  AddWrite(
      "Subscribe", methods::kMailboxesSubscribe,
      [](MailboxId, const std::string& name) {
        v1::SubscribeRequest request;
        request.set_name(name);
        request.set_subscribed(true);
        return request;
      },
      absl::StatusCode::kOk);
  AddWrite("Append", methods::kMailboxesAppend, [this](MailboxId, const std::string& name) {
    v1::AppendRequest request;
    request.set_mailbox(name);
    *request.add_messages()->mutable_blob() = blobs_.Put("planted");
    return request;
  });
}

void TicketsTest::FillNumbered() {
  AddWrite("StoreFlags", methods::kMailboxesStoreFlags, [](MailboxId mailbox, const std::string&) {
    auto request = WithUids<v1::StoreFlagsRequest>(mailbox);
    request.set_mode(v1::StoreFlagsRequest::ADD);
    request.set_flags(v1::DELETED);
    return request;
  });
  AddWrite("Copy", methods::kMailboxesCopy, [](MailboxId mailbox, const std::string&) {
    auto request = WithUids<v1::CopyRequest>(mailbox);
    request.set_target("Trash");
    request.set_move(true);
    return request;
  });
  AddWrite("Expunge", methods::kMailboxesExpunge, [](MailboxId mailbox, const std::string&) {
    return WithUids<v1::ExpungeRequest>(mailbox);
  });
}

void TicketsTest::FillReads() {
  AddRead("ReadMessages", methods::kMailboxesReadMessages, [](MailboxId mailbox) {
    v1::ReadMessagesRequest request;
    request.set_mailbox(mailbox);
    request.add_parts()->set_uid(1);
    return request;
  });
  AddRead("ReadDigests", methods::kMailboxesReadDigests,
          [](MailboxId mailbox) { return WithUids<v1::ReadDigestsRequest>(mailbox); });
  AddRead("SearchText", methods::kMailboxesSearchText, [](MailboxId mailbox) {
    auto request = WithUids<v1::SearchTextRequest>(mailbox);
    request.set_where(v1::SearchTextRequest::TEXT);
    request.set_needle("private");
    return request;
  });
  AddRead("LockMaildrop", methods::kMailboxesLockMaildrop,
          [](MailboxId) { return v1::LockMaildropRequest(); });
}

// Last: it would give the account of the ticket a mailbox of the foreign one's number.
void TicketsTest::FillCreation() {
  AddWrite(
      "CreateMailbox", methods::kMailboxesCreateMailbox,
      [](MailboxId, const std::string& name) {
        v1::CreateMailboxRequest request;
        request.set_name(base::StrCat(name, "/below"));
        return request;
      },
      absl::StatusCode::kOk);
}

INSTANTIATE_TEST_SUITE_P(Gateways, TicketsTest, ::testing::Values("imap-gateway", "pop3-gateway"),
                         [](const auto& role) { return std::string(role.param, 4); });

// A method that is added and not held against all this fails here.
TEST_P(TicketsTest, TableHasEveryMethodThatTakesATicket) {
  std::set<std::string> methods, tested{"Deliver"};  // the queue's, with no ticket
  for (const Case& one : cases_) tested.insert(one.method);
  const auto* mailboxes = v1::AppendRequest::descriptor()->file()->service(0);
  for (int i = 0; i < mailboxes->method_count(); ++i) {
    methods.insert(std::string(mailboxes->method(i)->name()));
  }
  EXPECT_EQ(methods, tested);
  std::set<std::string> requests;
  const auto* sync = v1::SyncRequest::descriptor();
  for (int i = 0; i < sync->field_count(); ++i) {
    const auto* message = sync->field(i)->message_type();
    if (message->FindFieldByName("ticket") != nullptr)
      requests.insert(std::string(message->name()));
  }
  EXPECT_EQ(requests, (std::set<std::string>{"Barrier", "OpenAccount", "OpenView"}));
}

// That the other tests can fail at all.
TEST_P(TicketsTest, OwnersTicketOpensEverything) {
  EXPECT_THAT(Named("ReadMessages").call(Good(kBob), diary_, "").bytes, HasSubstr(kPrivate));
  EXPECT_THAT(Named("SearchText").call(Good(kBob), diary_, "").bytes, Not(IsEmpty()));
  EXPECT_THAT(Named("ReadDigests").call(Good(kBob), diary_, "").bytes, HasSubstr("digest"));
  const std::string before = AllOfBob();
  EXPECT_TRUE(Named("StoreFlags").call(Good(kBob), diary_, "").status.ok());
  EXPECT_NE(AllOfBob(), before);
  EXPECT_TRUE(Named("DeleteMailbox").call(Good(kBob), diary_, "Diary").status.ok());
}

TEST_P(TicketsTest, NoTicketForgedAlteredExpiredAndVoidOnesAreRefusedByEveryMethod) {
  const std::string before = AllOfBob();
  for (const BadTicket& bad : BadTickets()) {
    for (const Case& one : cases_) {
      const Heard heard = one.call(bad.ticket, diary_, "Diary");
      EXPECT_EQ(heard.status.code(), bad.code) << one.method << ", ticket " << bad.what;
      EXPECT_THAT(heard.bytes, IsEmpty()) << one.method << ", ticket " << bad.what;
    }
  }
  EXPECT_EQ(AllOfBob(), before);
}

TEST_P(TicketsTest, DeliverIsNotForGatewaysWhateverTheirTicket) {
  const std::string before = AllOfBob();
  v1::DeliverRequest request;
  *request.add_deliveries() = Delivery(kBob, "planted");
  EXPECT_EQ(Once(methods::kMailboxesDeliver, request, Good(kBob)).status.code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(AllOfBob(), before);
}

TEST_P(TicketsTest, SyncRefusesTheSameTickets) {
  for (const BadTicket& bad : BadTickets()) {
    EXPECT_EQ(OpenMailbox(bad.ticket, inbox_).closed().reason(), v1::ViewClosed::DENIED)
        << bad.what;
    EXPECT_EQ(OpenAccount(bad.ticket).closed().reason(), v1::ViewClosed::DENIED) << bad.what;
    v1::SyncRequest barrier;
    barrier.mutable_barrier()->set_barrier(3);
    barrier.mutable_barrier()->set_ticket(bad.ticket);
    EXPECT_TRUE(Sync(barrier).barrier().denied()) << bad.what;
  }
}

TEST_P(TicketsTest, ForeignMailboxIsNeitherReadNorChanged) {
  const std::string before = AllOfBob();
  EXPECT_EQ(OpenMailbox(Good(kMallory), diary_).closed().reason(), v1::ViewClosed::NOT_FOUND);
  for (const Case& one : cases_) {
    const Heard heard = one.call(Good(kMallory), diary_, "Diary");
    EXPECT_EQ(heard.status.code(), one.foreign) << one.method << ": " << heard.status;
    EXPECT_THAT(heard.bytes, Not(HasSubstr(kPrivate))) << one.method;
    EXPECT_THAT(heard.bytes, Not(HasSubstr("digest"))) << one.method;
    EXPECT_EQ(AllOfBob(), before) << one.method;
  }
}

// The number of Bob's INBOX is also that of Mallory's: it is always her own that is meant.
TEST_P(TicketsTest, SameNumberMeansTheTicketsOwnMailbox) {
  const std::string before = AllOfBob();
  EXPECT_EQ(OpenMailbox(Good(kMallory), inbox_).chunk().rows().size_size(), 1);
  for (const Case& one : cases_) {
    const Heard heard = one.call(Good(kMallory), inbox_, "INBOX");
    EXPECT_THAT(heard.bytes, Not(HasSubstr(kPrivate))) << one.method;
    EXPECT_EQ(AllOfBob(), before) << one.method;
  }
}

TEST_P(TicketsTest, RememberedReplyIsOnlyForTheAccountThatAsked) {
  v1::CreateMailboxRequest request;
  request.set_operation("the same");
  request.set_name("Of Bob");
  ASSERT_TRUE(Once(methods::kMailboxesCreateMailbox, request, Good(kBob)).status.ok());
  v1::DeleteMailboxRequest foreign;
  foreign.set_operation("the same");
  foreign.set_name("Of Bob");
  EXPECT_EQ(Once(methods::kMailboxesDeleteMailbox, foreign, Good(kMallory)).status.code(),
            absl::StatusCode::kNotFound);
}

TEST_P(TicketsTest, ForeignLockDoesNotKeepTheOwnerOut) {
  const auto held = client_->Start(methods::kMailboxesLockMaildrop.path, "", rpc::Flow::kFree,
                                   {.ticket = Good(kMallory)});
  ASSERT_TRUE(testing::RunTask(loop_, held->Write(v1::LockMaildropRequest())).ok());
  v1::LockMaildropReply reply;
  ASSERT_TRUE(testing::RunTask(loop_, held->Read(reply)).value());
  EXPECT_TRUE(
      Stream(methods::kMailboxesLockMaildrop, v1::LockMaildropRequest(), Good(kBob)).status.ok());
}

}  // namespace
}  // namespace posthorn::store_service
