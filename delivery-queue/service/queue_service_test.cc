#include "delivery-queue/service/queue_service.h"

#include "delivery-queue/core/mail_queue_fixture.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/server.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::ActRequest;
using queue::v1::ListQueueRequest;

// One deferred message in a journal that can be away.
class QueueServiceTest : public MailQueueTest {
 protected:
  void SetUp() override {
    Stop();
    auto journal = std::make_unique<MemoryJournal>(loop_);
    memory_ = journal.get();
    limits_.retry.waits_seconds = {3600};
    remote_.outcomes["a@far.test"] = {Later("451 later")};
    Start(std::move(journal));
    ASSERT_TRUE(Accept(Message("x@a.test", {"a@far.test"})).ok());
    RunUntil([&] { return queue_->counts().active == 0; });
    life_->journal = std::move(journal_);
    life_->queue = std::move(queue_);
    const std::string socket = "unix:" + sockets_.File("queue.sock");
    server_ = rpc::Server::Create(
        loop_, {.addresses = {{socket, "admin-service"}}, .process = "delivery-queue"});
    RegisterQueueService(*server_, loop_, [this] { return life_; }, "q");
    ASSERT_TRUE(server_->Start().ok());
    client_ = rpc::Client::Create(loop_, {socket});
  }
  void TearDown() override {
    client_.reset();
    server_->Stop(std::chrono::milliseconds(0));
    server_.reset();
    life_.reset();
  }
  template <class M, class Q>
  auto Call(M method, Q request) {
    rpc::CallOptions options;
    options.timeout = std::chrono::seconds(20);
    return testing::RunTask(loop_, client_->Call(method, options, std::move(request)));
  }

  posthorn::testing::TempDir sockets_;
  MemoryJournal* memory_ = nullptr;
  std::shared_ptr<Life> life_ = std::make_shared<Life>();
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> client_;
};

TEST_F(QueueServiceTest, ListsAndActsOnWhatWaits) {
  const auto list = Call(rpc::queue::kQueueList, ListQueueRequest());
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->messages_size(), 1);
  EXPECT_EQ(list->messages(0).replica(), "q");
  ActRequest act;
  act.set_action(ActRequest::REMOVE);
  act.add_message_ids(list->messages(0).message_id());
  EXPECT_EQ(Call(rpc::queue::kQueueAct, act)->affected(), 1u);
  EXPECT_TRUE(memory_->records.empty());
}

// An empty list would be read as an empty queue.
TEST_F(QueueServiceTest, AJournalThatIsAwayIsNotAnEmptyQueue) {
  const std::string id(life_->queue->Keys(nullptr, 1).at(0).message.bytes());
  memory_->away = base::Unavailable("the store is away");
  EXPECT_TRUE(absl::IsUnavailable(Call(rpc::queue::kQueueList, ListQueueRequest()).status()));
  ActRequest act;
  act.set_action(ActRequest::REMOVE);
  act.set_match("far.test");
  EXPECT_TRUE(absl::IsUnavailable(Call(rpc::queue::kQueueAct, act).status()));
  act.clear_match();
  act.add_message_ids(id);
  EXPECT_TRUE(absl::IsUnavailable(Call(rpc::queue::kQueueAct, act).status()));
  memory_->away = base::NotFound("finished meanwhile");
  const auto list = Call(rpc::queue::kQueueList, ListQueueRequest());
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->messages_size(), 0);
}

}  // namespace
}  // namespace posthorn::delivery_queue
