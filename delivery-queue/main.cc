// delivery-queue: accepted mail until it is delivered.

#include <unistd.h>

#include <memory>
#include <string>

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/service/queue_metrics.h"
#include "delivery-queue/service/queue_service.h"
#include "delivery-queue/service/store_calls.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/file/directory_lock.h"
#include "lib/file/file_system.h"
#include "lib/process/service.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::delivery_queue {
namespace {

using config::v1::Settings;

constexpr int kReaders = 2;
constexpr size_t kWaitingReads = 10000;

// Until remote delivery is there, such mail waits.
class WaitingRemote : public RemoteDelivery, public BounceWriter {
 public:
  void Submit(RemoteJob job) override {
    for (const int recipient : job.recipients)
      job.done(recipient, {RemoteOutcome::Kind::kDeferred, "remote delivery is not available", "4.3.0", ""});
  }
  net::Task<absl::StatusOr<queue::v1::Entry>> Write(std::shared_ptr<const queue::v1::StoredEntry>,
                                                    std::vector<int>) override {
    co_return base::Unavailable("bounces are not available");
  }
};

RetrySchedule ScheduleOf(const Settings& settings) {
  RetrySchedule schedule;
  if (!settings.retry_schedule().empty())
    schedule.waits_seconds = {settings.retry_schedule().begin(), settings.retry_schedule().end()};
  if (settings.has_retry_lifetime()) schedule.lifetime_seconds = settings.retry_lifetime();
  return schedule;
}

std::string Description(const std::string& directory) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return base::StrCat(host, ":", directory);
}

// The parts and how they hang together.
class Queue {
 public:
  Queue(process::Service& service, file::FileSystem& files) : service_(service), files_(files) {}

  absl::Status Open() {
    const std::string& data = service_.flags().data;
    if (data.empty()) return base::Invalid("--data is needed: the journal lies there");
    ASSIGN_OR_RETURN(lock_, file::DirectoryLock::Take(data));
    ASSIGN_OR_RETURN(journal_, OpenLocalJournal(service_.loop(), files_, {.directory = data + "/journal"}));
    local_ = std::make_unique<LocalDelivery>(service_.loop(), deliverer_, journal_->id(),
                                             [this] { return queue_->Oldest(); });
    queue_ = std::make_unique<MailQueue>(
        MailQueue::Parts{service_.loop(), *journal_, readers_, directory_, *local_, remote_, remote_,
                         [this](common::v1::Event event) { service_.Record(std::move(event)); }},
        MailQueue::Limits{.retry = ScheduleOf(service_.config()->Get<Settings>())});
    RETURN_IF_ERROR(queue_->Recover());
    Connect();
    return absl::OkStatus();
  }

 private:
  void Connect() {
    service_.OnConfig([this](const config::Snapshot& snapshot) {
      queue_->SetRetry(ScheduleOf(snapshot.Get<Settings>()));
    });
    service_.AddReadiness(
        [this] { return service_.store().connected() ? std::string() : std::string("the store cannot be reached"); });
    RegisterQueueService(service_.server(), service_.loop(), *queue_, journal_->id());
    service_.loop().Spawn("queue.attend", AttendCollector(service_.loop(), service_.store(), *queue_, journal_->id(),
                                                          Description(service_.flags().data)));
    service_.loop().Spawn("queue.metrics", WatchMetrics(service_.loop(), *queue_, *local_, *journal_));
  }

  process::Service& service_;
  file::FileSystem& files_;
  StoreDeliverer deliverer_{service_.store()};
  StoreDirectory directory_{service_.store()};
  WaitingRemote remote_;
  // From here on in the order in which they are needed: the journal commits what it was given when it goes, last.
  std::unique_ptr<file::DirectoryLock> lock_;
  std::unique_ptr<Journal> journal_;
  net::BlockingPool readers_{service_.loop(), "journal", kReaders, kWaitingReads};
  std::unique_ptr<LocalDelivery> local_;
  std::unique_ptr<MailQueue> queue_;
};

net::Task<absl::Status> SetUp(Queue& queue) { co_return queue.Open(); }

}  // namespace
}  // namespace posthorn::delivery_queue

int main(int argc, char** argv) {
  using posthorn::process::Service;
  Service::Options options;
  options.process = "delivery-queue";
  options.caller_roles = {"smtp-gateway", "pop3-gateway", "admin-service"};
  const std::unique_ptr<Service> service = Service::Create(argc, argv, std::move(options));
  posthorn::delivery_queue::Queue queue(*service, posthorn::file::Real());
  return service->Run([&queue] { return SetUp(queue); });
}
