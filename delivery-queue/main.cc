// delivery-queue: accepted mail until it is delivered.

#include <unistd.h>

#include <memory>
#include <string>

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/dsn/dsn_writer.h"
#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/remote/smtp_delivery.h"
#include "delivery-queue/service/queue_metrics.h"
#include "delivery-queue/service/queue_service.h"
#include "delivery-queue/service/store_calls.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/dns/unbound_resolver.h"
#include "lib/file/directory_lock.h"
#include "lib/file/file_system.h"
#include "lib/gateway/networks.h"
#include "lib/net/tls_context.h"
#include "lib/observe/log.h"
#include "lib/process/service.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::delivery_queue {
namespace {

using config::v1::Settings;

constexpr int kReaders = 2;
constexpr size_t kWaitingReads = 10000;
constexpr std::chrono::milliseconds kFinishLimit = std::chrono::seconds(10);

RetrySchedule ScheduleOf(const Settings& settings) {
  RetrySchedule schedule;
  if (!settings.retry_schedule().empty())
    schedule.waits_seconds = {settings.retry_schedule().begin(), settings.retry_schedule().end()};
  if (settings.has_retry_lifetime()) schedule.lifetime_seconds = settings.retry_lifetime();
  if (settings.has_delay_notice()) schedule.delay_notice_seconds = settings.delay_notice();
  return schedule;
}

Security SecurityOf(config::v1::TlsMode mode) {
  switch (mode) {
    case config::v1::NONE:
      return Security::kNone;
    case config::v1::STARTTLS_REQUIRED:
      return Security::kRequired;
    case config::v1::IMPLICIT:
      return Security::kImplicit;
    default:
      return Security::kOpportunistic;
  }
}

RemoteSettings RemoteOf(const config::Snapshot& snapshot) {
  const auto& settings = snapshot.Get<Settings>();
  RemoteSettings remote;
  remote.hostname = gateway::Hostname(snapshot);
  if (settings.smtp_port() != 0) remote.port = static_cast<uint16_t>(settings.smtp_port());
  if (settings.has_max_remote_connections())
    remote.max_connections = settings.max_remote_connections();
  for (const auto& object : snapshot.All<config::v1::Route>()) {
    const auto& configured = static_cast<const config::v1::Route&>(*object);
    Route route{base::Lower(configured.domain()),
                {},
                configured.user(),
                configured.password(),
                SecurityOf(configured.tls()),
                configured.verify()};
    for (const std::string& host : configured.hosts()) route.hosts.push_back(ParseHostPort(host));
    remote.routes.push_back(std::move(route));
  }
  return remote;
}

dns::Options DnsOf(const Settings& settings) {
  return {{settings.dns_servers().begin(), settings.dns_servers().end()},
          settings.dns_trust_anchor()};
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
    ASSIGN_OR_RETURN(journal_,
                     OpenLocalJournal(service_.loop(), files_, {.directory = data + "/journal"}));
    ASSIGN_OR_RETURN(resolver_, dns::UnboundResolver::Create(
                                    service_.loop(), DnsOf(service_.config()->Get<Settings>())));
    using net::TlsContext;
    ClientTls tls;
    ASSIGN_OR_RETURN(tls.any, TlsContext::Client(TlsContext::Verify::kNone, ""));
    ASSIGN_OR_RETURN(tls.verified, TlsContext::Client(TlsContext::Verify::kPeer, ""));
    remote_ = std::make_unique<SmtpDelivery>(service_.loop(), *resolver_, blobs_, std::move(tls));
    remote_->Configure(RemoteOf(*service_.config()));
    local_ = std::make_unique<LocalDelivery>(service_.loop(), deliverer_, journal_->id(),
                                             [this] { return queue_->Oldest(); });
    queue_ = std::make_unique<MailQueue>(
        MailQueue::Parts{service_.loop(), *journal_, readers_, directory_, *local_, *remote_,
                         bounces_,
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
      remote_->Configure(RemoteOf(snapshot));
      if (absl::Status status = resolver_->Configure(DnsOf(snapshot.Get<Settings>())); !status.ok())
        observe::Error("queue.dns", {{"status", status.ToString()}});
    });
    // Transactions under way are worth waiting for: cut off behind the dot they would arrive twice.
    service_.OnStop([this] { return remote_->Finish(kFinishLimit); });
    service_.AddReadiness([this] {
      return service_.store().connected() ? std::string()
                                          : std::string("the store cannot be reached");
    });
    RegisterQueueService(service_.server(), service_.loop(), *queue_, journal_->id());
    service_.loop().Spawn(
        "queue.attend", AttendCollector(service_.loop(), service_.store(), *queue_, journal_->id(),
                                        Description(service_.flags().data)));
    service_.loop().Spawn("queue.metrics",
                          WatchMetrics(service_.loop(), *queue_, *local_, *remote_, *journal_));
  }

  process::Service& service_;
  file::FileSystem& files_;
  StoreDeliverer deliverer_{service_.store()};
  StoreDirectory directory_{service_.store()};
  StoreBlobs blobs_{service_.store()};
  DsnWriter bounces_{blobs_, blobs_, [this] { return gateway::Hostname(*service_.config()); }};
  // From here on in the order in which they are needed: the journal commits what it was given when
  // it goes, last.
  std::unique_ptr<file::DirectoryLock> lock_;
  std::unique_ptr<Journal> journal_;
  net::BlockingPool readers_{service_.loop(), "journal", kReaders, kWaitingReads};
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::unique_ptr<SmtpDelivery> remote_;
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
