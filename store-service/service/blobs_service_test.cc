// Messages put and read over real connections, journals that attend, events that are found again.

#include "store-service/service/blobs_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/rpc/client.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "posthorn/common/v1/common.pb.h"
#include "store-service/blob/local_blob_store.h"
#include "store-service/service/journals_service.h"
#include "store-service/service/put_facts.h"
#include "store-service/service/trace_service.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;
using posthorn::testing::RunTask;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kMessage[] =
    "Received: from a\r\nreceived: from b\r\nDate: Sat, 21 Nov 2026 09:00:00 +0000\r\n"
    "From: \"A, B\" <a@example.org>, c@example.net\r\nSubject: Hello\r\n you\r\nMessage-ID: "
    "<1@x>\r\n\r\nBody\r\n";

class BlobsServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LocalBlobOptions options;
    options.directory = directory_.path();
    options.deliver = [this](std::vector<Completion> batch) {
      auto shared = std::make_shared<std::vector<Completion>>(std::move(batch));
      loop_.Post([shared] {
        for (Completion& completion : *shared) completion.done(std::move(completion.result));
      });
    };
    blobs_ = *OpenLocalBlobStore(std::move(options));
    files_ = std::make_unique<net::BlockingPool>(loop_, "files", 2, 100);
    digests_ = std::make_unique<DigestCache>(*blobs_, *files_, 1 << 20);
    service_ = std::make_unique<BlobsService>(loop_, *blobs_, *digests_, *files_);
    configuration_ = *Configuration::Open(loop_, file::Real(), {.directory = directory_.path()});
    journals_ = std::make_unique<JournalsService>(loop_, *configuration_);
    events_ = *OpenEventStore({.directory = directory_.File("events"), .flush_ms = 1});
    trace_ = std::make_unique<TraceService>(*events_, *files_);
    const std::string queue = "unix:" + directory_.File("queue.sock");
    const std::string admin = "unix:" + directory_.File("admin.sock");
    server_ = rpc::Server::Create(
        loop_, {{{queue, "delivery-queue"}, {admin, "admin-service"}}, "store-service"});
    service_->Register(*server_);
    journals_->Register(*server_);
    trace_->Register(*server_);
    ASSERT_TRUE(server_->Start().ok());
    queue_ = rpc::Client::Create(loop_, {queue, ""});
    admin_ = rpc::Client::Create(loop_, {admin, ""});
  }
  void TearDown() override {
    queue_.reset();
    admin_.reset();
    server_->Stop(std::chrono::milliseconds(0));
    server_.reset();
  }

  absl::StatusOr<v1::PutReply> Put(const std::string& message, size_t chunk) {
    auto call = queue_->Start(rpc::store::kBlobsPut.path, "put-large", rpc::Flow::kFree, {});
    for (size_t at = 0; at < message.size(); at += chunk) {
      v1::PutRequest request;
      request.set_chunk(message.substr(at, chunk));
      const absl::Status written = RunTask(loop_, call->Write(request));
      if (!written.ok()) return written;
    }
    call->WritesDone();
    v1::PutReply reply;
    const absl::StatusOr<bool> more = RunTask(loop_, call->Read(reply));
    if (!more.ok()) return more.status();
    return reply;
  }
  absl::StatusOr<std::string> Read(const common::v1::BlobId& blob, uint64_t offset = 0,
                                   uint64_t length = 0) {
    v1::ReadBlobRequest request;
    *request.mutable_blob() = blob;
    request.set_offset(offset);
    request.set_length(length);
    auto call = queue_->Start(rpc::store::kBlobsRead.path, "read", rpc::Flow::kFree, {});
    EXPECT_TRUE(RunTask(loop_, call->Write(request)).ok());
    call->WritesDone();
    std::string all;
    for (;;) {
      v1::ReadBlobReply reply;
      const absl::StatusOr<bool> more = RunTask(loop_, call->Read(reply));
      if (!more.ok()) return more.status();
      if (!*more) return all;
      EXPECT_LE(reply.chunk().size(), 65536U);
      all += reply.chunk();
    }
  }
  template <class Q, class R>
  absl::StatusOr<R> Call(rpc::Client& client, rpc::Method<Q, R> method, Q request) {
    return RunTask(loop_, client.Call(method, {}, std::move(request)));
  }

  posthorn::testing::TempDir directory_;
  net::Loop loop_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<Configuration> configuration_;
  std::unique_ptr<EventStore> events_;
  std::unique_ptr<net::BlockingPool> files_;
  std::unique_ptr<DigestCache> digests_;
  std::unique_ptr<BlobsService> service_;
  std::unique_ptr<JournalsService> journals_;
  std::unique_ptr<TraceService> trace_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> queue_, admin_;
};

TEST_F(BlobsServiceTest, MessagesComeBackByteByByte) {
  const std::string head = kMessage;
  for (const size_t size : {size_t{0}, size_t{3}, size_t{4096}, size_t{70000}, size_t{262144},
                            size_t{262145}, size_t{3000000}}) {
    std::string message = head.substr(0, size);
    for (size_t i = message.size(); i < size; ++i)
      message.push_back(static_cast<char>('a' + i % 23));
    const auto reply = Put(message, 65536);
    ASSERT_TRUE(reply.ok()) << size << reply.status();
    EXPECT_EQ(reply->blob().size(), size);
    EXPECT_EQ(Read(reply->blob()).value(), message) << size;
  }
}

TEST_F(BlobsServiceTest, RangesAreReadAlone) {
  std::string message(1000000, 'x');
  for (size_t i = 0; i < message.size(); i += 7) message[i] = static_cast<char>('0' + i % 10);
  const common::v1::BlobId blob = Put(message, 60000)->blob();
  EXPECT_EQ(Read(blob, 10, 20).value(), message.substr(10, 20));
  EXPECT_EQ(Read(blob, 999990).value(), message.substr(999990));
  EXPECT_EQ(Read(blob, 5, 700000).value(), message.substr(5, 700000));
  EXPECT_EQ(Read(blob, 1000000).value(), "");
  EXPECT_EQ(Read(blob, 1000001).status().code(), absl::StatusCode::kInvalidArgument);
  common::v1::BlobId stranger = blob;
  stranger.set_key(blob.key() + (uint64_t{77} << 40));
  EXPECT_EQ(Read(stranger).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BlobsServiceTest, OneMessageCallsAnswerWithFacts) {
  v1::PutRequest request;
  request.set_chunk(kMessage);
  const auto reply =
      RunTask(loop_, queue_->Call(rpc::store::kBlobsPut, "put", rpc::Flow::kHoldBack, {}, request));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->subject(), "Hello you");
  EXPECT_EQ(reply->header_message_id(), "<1@x>");
  EXPECT_EQ(reply->from(), "a@example.org,c@example.net");
  EXPECT_TRUE(reply->has_date());
  EXPECT_EQ(reply->received_count(), 2U);
  EXPECT_FALSE(reply->header_8bit());
  EXPECT_FALSE(reply->body_8bit());
}

TEST_F(BlobsServiceTest, DigestIsFoundInMemoryAndBesideTheBody) {
  const common::v1::BlobId blob = Put(kMessage, 65536)->blob();
  const auto recent = digests_->Recent(blob.key());
  ASSERT_NE(recent, nullptr);
  EXPECT_EQ(*recent, mime::MakeDigest(kMessage));
  DigestCache forgetful(*blobs_, *files_, 0);
  EXPECT_EQ(forgetful.Recent(blob.key()), nullptr);
  EXPECT_EQ(*RunTask(loop_, forgetful.Get(blob.key(), blob.size())).value(), *recent);
  EXPECT_EQ(
      RunTask(loop_, forgetful.Get(blob.key() + (uint64_t{9} << 40), blob.size())).status().code(),
      absl::StatusCode::kNotFound);
}

TEST_F(BlobsServiceTest, CacheForgetsTheOldestFirst) {
  DigestCache cache(*blobs_, *files_, 250);
  for (uint64_t key = 1; key <= 4; ++key)
    cache.Add(key, std::make_shared<const std::string>(100, 'x'));
  EXPECT_EQ(cache.Recent(1), nullptr);
  EXPECT_EQ(cache.Recent(2), nullptr);
  EXPECT_NE(cache.Recent(3), nullptr);
  EXPECT_NE(cache.Recent(4), nullptr);
}

TEST(PutFacts, EightBitBytesAreToldBySection) {
  v1::PutReply header, body;
  FillPutFacts("Subject: \xff\xfe raw\r\n\r\nplain", header);
  EXPECT_TRUE(header.header_8bit());
  EXPECT_FALSE(header.body_8bit());
  EXPECT_EQ(header.subject(), "?? raw");
  FillPutFacts("Subject: x\r\n\r\nplain text, 8 bit at the end \xe9", body);
  EXPECT_FALSE(body.header_8bit());
  EXPECT_TRUE(body.body_8bit());
}

TEST(PutFacts, LongValuesAreCutBetweenCharacters) {
  std::string subject;
  for (int i = 0; i < 1000; ++i) subject += "\xc3\xa9";
  v1::PutReply reply;
  FillPutFacts(base::StrCat("Subject: x", subject, "\r\n\r\n"), reply);
  EXPECT_EQ(reply.subject().size(), 999U);
  EXPECT_EQ(reply.subject().substr(997), "\xc3\xa9");
}

net::Task<absl::Status> AnswerOnce(rpc::RawCall* call, uint64_t held) {
  v1::JournalQuestion question;
  const absl::StatusOr<bool> more = co_await call->Read(question);
  if (!more.ok()) co_return more.status();
  v1::JournalAnswer answer;
  answer.set_question(question.question());
  answer.add_held(held);
  co_return co_await call->Write(answer);
}
net::Task<void> AnswerInBackground(rpc::RawCall* call, uint64_t held) {
  (void)co_await AnswerOnce(call, held);
}

TEST_F(BlobsServiceTest, NothingIsDestroyedWhileAJournalIsSilent) {
  EXPECT_THAT(RunTask(loop_, journals_->Held({1, 2})).value(), IsEmpty());
  v1::RegisterJournalRequest request;
  request.set_journal_id(std::string(16, 'j'));
  request.set_description("host:/var/queue");
  ASSERT_TRUE(Call(*queue_, rpc::store::kJournalsRegister, request).ok());
  EXPECT_THAT(journals_->Silent(), ElementsAre("host:/var/queue"));
  EXPECT_EQ(RunTask(loop_, journals_->Held({1, 2})).status().code(),
            absl::StatusCode::kUnavailable);

  auto call = queue_->Start(rpc::store::kJournalsAttend.path, "", rpc::Flow::kFree,
                            {.timeout = std::chrono::hours(1)});
  v1::JournalAnswer hello;
  hello.set_journal_id(request.journal_id());
  ASSERT_TRUE(RunTask(loop_, call->Write(hello)).ok());
  while (!journals_->Silent().empty())
    RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  loop_.Spawn("journal", AnswerInBackground(call.get(), 2));
  EXPECT_THAT(RunTask(loop_, journals_->Held({1, 2})).value(), ElementsAre(2U));
  call.reset();
  while (journals_->Silent().empty())
    RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  EXPECT_FALSE(RunTask(loop_, journals_->Held({1})).ok());

  JournalsService restarted(loop_, *configuration_);
  ASSERT_TRUE(RunTask(loop_, restarted.Load()).ok());
  EXPECT_THAT(restarted.Silent(), ElementsAre("host:/var/queue"));
}

TEST_F(BlobsServiceTest, JournalOfAQueueThatIsGoneIsUnregisteredByAdminOnly) {
  v1::RegisterJournalRequest request;
  request.set_journal_id(std::string(16, 'j'));
  request.set_description("host:/var/queue");
  ASSERT_TRUE(Call(*queue_, rpc::store::kJournalsRegister, request).ok());
  v1::UnregisterJournalRequest unregister;
  unregister.set_journal_id(request.journal_id());
  EXPECT_TRUE(absl::IsPermissionDenied(
      Call(*queue_, rpc::store::kJournalsUnregister, unregister).status()));
  // Not while it is there: what it holds would be freed under it.
  auto call = queue_->Start(rpc::store::kJournalsAttend.path, "", rpc::Flow::kFree,
                            {.timeout = std::chrono::hours(1)});
  v1::JournalAnswer hello;
  hello.set_journal_id(request.journal_id());
  ASSERT_TRUE(RunTask(loop_, call->Write(hello)).ok());
  while (!journals_->Silent().empty())
    RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      Call(*admin_, rpc::store::kJournalsUnregister, unregister).status()));
  call.reset();
  while (journals_->Silent().empty())
    RunTask(loop_, net::Sleep(loop_, std::chrono::milliseconds(1)));
  const auto listed = Call(*admin_, rpc::store::kJournalsList, v1::ListJournalsRequest());
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->journals_size(), 1);
  EXPECT_FALSE(listed->journals(0).connected());

  const auto gone = Call(*admin_, rpc::store::kJournalsUnregister, unregister);
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_EQ(gone->description(), "host:/var/queue");
  EXPECT_THAT(RunTask(loop_, journals_->Held({1, 2})).value(), IsEmpty());
  EXPECT_TRUE(
      absl::IsNotFound(Call(*admin_, rpc::store::kJournalsUnregister, unregister).status()));
  JournalsService restarted(loop_, *configuration_);
  ASSERT_TRUE(RunTask(loop_, restarted.Load()).ok());
  EXPECT_THAT(restarted.Silent(), IsEmpty());
}

TEST_F(BlobsServiceTest, EventsAreFoundAgainByAdminOnly) {
  v1::RecordEventsRequest record;
  common::v1::Event* event = record.add_events();
  event->set_time_ms(1000);
  event->set_message_id(std::string(16, 'm'));
  event->set_sender("a@example.org");
  ASSERT_TRUE(Call(*queue_, rpc::store::kTraceRecord, record).ok());
  v1::SearchEventsRequest search;
  search.set_address("a@example.org");
  const auto found = Call(*admin_, rpc::store::kTraceSearch, search);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->events_size(), 1);
  EXPECT_EQ(found->events(0).message_id(), event->message_id());
  EXPECT_EQ(Call(*queue_, rpc::store::kTraceSearch, search).status().code(),
            absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace posthorn::store_service
