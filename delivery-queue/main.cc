// delivery-queue: accepted mail until it is delivered.

#include <memory>
#include <string>

#include "delivery-queue/dsn/dsn_writer.h"
#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/journal/store_journal.h"
#include "delivery-queue/remote/smtp_delivery.h"
#include "delivery-queue/service/life.h"
#include "delivery-queue/service/queue_metrics.h"
#include "delivery-queue/service/queue_service.h"
#include "delivery-queue/service/store_calls.h"
#include "lib/base/ids.h"
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

constexpr std::chrono::milliseconds kFinishLimit = std::chrono::seconds(10);
constexpr std::chrono::milliseconds kBeginPause{5000};
constexpr std::chrono::milliseconds kLook{10};

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

std::string NewInstance() { return base::StrCat(base::MessageId::New().bytes()); }

// The parts and how they hang together.
class Queue {
 public:
  Queue(process::Service& service, file::FileSystem& files) : service_(service), files_(files) {}
  ~Queue() {
    if (life_) life_->Stop();
  }

  net::Task<absl::Status> Open() {
    CO_RETURN_IF_ERROR(ReadFlags());
    CO_ASSIGN_OR_RETURN(resolver_, dns::UnboundResolver::Create(
                                       service_.loop(), DnsOf(service_.config()->Get<Settings>())));
    using net::TlsContext;
    CO_ASSIGN_OR_RETURN(tls_.any, TlsContext::Client(TlsContext::Verify::kNone, ""));
    CO_ASSIGN_OR_RETURN(tls_.verified, TlsContext::Client(TlsContext::Verify::kPeer, ""));
    CO_RETURN_IF_ERROR(co_await Begin());
    Connect();
    co_return absl::OkStatus();
  }

 private:
  absl::Status ReadFlags() {
    std::string journal = "local";
    for (const auto& [name, value] : service_.flags().own)
      if (name == "journal") journal = value;
    if (journal != "local" && journal != "store")
      return base::Invalid("--journal is local or store");
    in_store_ = journal == "store";
    name_ = service_.flags().name;
    const std::string& data = service_.flags().data;
    if (in_store_) return absl::OkStatus();
    if (data.empty()) return base::Invalid("--data is needed: the journal lies there");
    ASSIGN_OR_RETURN(lock_, file::DirectoryLock::Take(data));
    return absl::OkStatus();
  }

  net::Task<absl::StatusOr<std::unique_ptr<Journal>>> OpenJournal() {
    if (!in_store_) {
      co_return OpenLocalJournal(service_.loop(), files_,
                                 {.directory = service_.flags().data + "/journal"});
    }
    StoreJournalOptions options;
    options.name = name_;
    options.instance = instance_;
    options.reopened = lives_ > 0;
    options.address = service_.flags().advertise;
    options.over = [this] { End(); };
    co_return co_await OpenStoreJournal(service_.loop(), service_.store(), std::move(options));
  }

  // From the journal's opening to its loss.
  net::Task<absl::Status> Begin() {
    const auto life = std::make_shared<Life>();
    CO_ASSIGN_OR_RETURN(life->journal, co_await OpenJournal());
    ++lives_;
    life->remote = std::make_unique<SmtpDelivery>(service_.loop(), *resolver_, blobs_, tls_);
    Life::Bind(life);
    life->remote->Configure(RemoteOf(*service_.config()));
    life->local =
        std::make_unique<LocalDelivery>(service_.loop(), deliverer_, life->journal->id(),
                                        [queue = &life->queue] { return (*queue)->Oldest(); });
    life->queue = std::make_unique<MailQueue>(
        MailQueue::Parts{service_.loop(), *life->journal, directory_, *life->local, *life->remote,
                         bounces_,
                         [this](common::v1::Event event) { service_.Record(std::move(event)); }},
        MailQueue::Limits{.retry = ScheduleOf(service_.config()->Get<Settings>())});
    CO_RETURN_IF_ERROR(co_await life->queue->Recover());
    life_ = life;
    co_return absl::OkStatus();
  }

  // The journal is another replica's: nothing of it goes on here, and a new one begins.
  void End() {
    // It was lost while it was opened: whoever opens it notices, and there is one who does.
    if (!life_) return;
    life_->Stop();
    life_.reset();
    service_.loop().Spawn("queue.begin", BeginAgain());
  }
  net::Task<void> BeginAgain() {
    for (;;) {
      const absl::Status begun = co_await Begin();
      if (begun.ok()) co_return;
      // Another process has our name: there is nothing to come back to.
      if (absl::IsAlreadyExists(begun)) co_return service_.End(begun);
      observe::Error("queue.begin", {{"status", begun.ToString()}});
      co_await net::Sleep(service_.loop(), kBeginPause);
    }
  }

  // Transactions under way are worth waiting for: cut off behind the dot they would arrive twice.
  // So are messages that arrive: cut off they would be answered 451 and may be kept all the same.
  // Others are sent to another queue, until all gateways have turned away.
  net::Task<void> Finish() {
    const std::shared_ptr<Life> life = life_;
    if (!life) co_return;
    life->taking = false;
    co_await life->remote->Finish(kFinishLimit);
    const auto end = std::chrono::steady_clock::now() + kFinishLimit;
    while (life->arriving > 0 && std::chrono::steady_clock::now() < end)
      co_await net::Sleep(service_.loop(), kLook);
    co_await life->journal->Close();
  }

  void Connect() {
    service_.OnConfig([this](const config::Snapshot& snapshot) {
      if (life_) {
        life_->queue->SetRetry(ScheduleOf(snapshot.Get<Settings>()));
        life_->remote->Configure(RemoteOf(snapshot));
      }
      if (absl::Status status = resolver_->Configure(DnsOf(snapshot.Get<Settings>())); !status.ok())
        observe::Error("queue.dns", {{"status", status.ToString()}});
    });
    service_.OnStop([this] { return Finish(); });
    service_.AddReadiness([this]() -> std::string {
      if (!service_.store().connected()) return "the store cannot be reached";
      return life_ ? "" : "the journal";
    });
    const CurrentLife current = [this] { return life_; };
    RegisterQueueService(service_.server(), service_.loop(), current, name_);
    // What lies in the store's own tables the collector finds there.
    if (!in_store_) {
      service_.loop().Spawn(
          "queue.attend",
          AttendCollector(service_.loop(), service_.store(), *life_->queue, life_->journal->id(),
                          base::StrCat(name_, ":", service_.flags().data)));
    }
    service_.loop().Spawn("queue.metrics", WatchMetrics(service_.loop(), current));
  }

  process::Service& service_;
  file::FileSystem& files_;
  bool in_store_ = false;
  std::string name_;
  const std::string instance_ = NewInstance();
  int lives_ = 0;
  ClientTls tls_;
  StoreDeliverer deliverer_{service_.store()};
  StoreDirectory directory_{service_.store()};
  StoreBlobs blobs_{service_.store()};
  DsnWriter bounces_{blobs_, blobs_, [this] { return gateway::Hostname(*service_.config()); }};
  std::unique_ptr<file::DirectoryLock> lock_;
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::shared_ptr<Life> life_;
};

net::Task<absl::Status> SetUp(Queue& queue) { co_return co_await queue.Open(); }

}  // namespace
}  // namespace posthorn::delivery_queue

int main(int argc, char** argv) {
  using posthorn::process::Service;
  Service::Options options;
  options.process = "delivery-queue";
  options.own_flags = {"--journal"};
  options.caller_roles = {"smtp-gateway", "pop3-gateway", "admin-service"};
  const std::unique_ptr<Service> service = Service::Create(argc, argv, std::move(options));
  posthorn::delivery_queue::Queue queue(*service, posthorn::file::Real());
  return service->Run([&queue] { return SetUp(queue); });
}
