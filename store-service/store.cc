#include "store-service/store.h"

#include <sys/stat.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/file/sqlite_vfs.h"
#include "lib/mail/address.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/process/version.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/auth/authenticator.h"
#include "store-service/blob/scrubber.h"
#include "store-service/cluster/name.h"
#include "store-service/collector/collector.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/databases.h"
#include "store-service/events/event_store.h"
#include "store-service/mailbox/mail_store.h"
#include "store-service/message_files.h"
#include "store-service/objects/configuration.h"
#include "store-service/queue/queue_journals.h"
#include "store-service/service/admin_service.h"
#include "store-service/service/blobs_service.h"
#include "store-service/service/digest_cache.h"
#include "store-service/service/directory_service.h"
#include "store-service/service/journals_service.h"
#include "store-service/service/migrate_service.h"
#include "store-service/service/objects_service.h"
#include "store-service/service/roles.h"
#include "store-service/service/trace_service.h"

namespace posthorn::store_service {
namespace {

constexpr int kFileThreads = 4;
constexpr size_t kMaxQueuedFiles = 4096;
constexpr size_t kDigestBudget = size_t{32} << 20;
constexpr int64_t kDaySeconds = 86400;
constexpr std::chrono::milliseconds kDatabasePause{500};
// How long a replica that was killed keeps its lanes.
constexpr int64_t kLeaseMs = 6000;
constexpr int64_t kReclaimMs = 5000;
constexpr std::chrono::milliseconds kScrubLook{1000};

absl::StatusOr<std::unique_ptr<EventStore>> OpenEvents(file::FileSystem& files,
                                                       const std::string& directory) {
  EventStoreOptions options;
  options.directory = directory;
  options.system = &files;
  return OpenEventStore(std::move(options));
}

// A replica among others when the database is one that several can use.
MailStore::Options MailOptions(process::Service& service) {
  const process::Flags& flags = service.flags();
  MailStore::Options options;
  if (OwnFlag(flags, "database").empty()) return options;
  options.lane.owner = flags.name;
  options.lane.lease_ms = kLeaseMs;
  options.lane.reclaim_ms = kReclaimMs;
  options.replica.name = flags.name;
  options.replica.address = flags.advertise;
  options.replica.version = std::string(process::Version());
  options.replica.instance = base::Hex(base::MessageId::New().bytes());
  options.replica.replaced = [&service](const absl::Status& who) { service.End(who); };
  options.replica.size = MembershipOptions::Size::kMany;
  return options;
}

}  // namespace

process::Service::Options StoreOptions() {
  std::vector<std::string> own_flags = DatabaseFlags();
  for (std::string& flag : MessageFileFlags()) own_flags.push_back(std::move(flag));
  // The configuration lies here: the store cannot wait for it, and takes what it needs as it comes.
  return {.process = "store-service",
          .own_flags = std::move(own_flags),
          .wants_config = false,
          .caller_roles = Everybody()};
}

// One store reads everything back: the one that also collects. Ends with the loop.
net::Task<void> LetScrub(net::Loop* loop, Scrubber* scrubber, MailStore* mail) {
  for (;;) {
    scrubber->Set(mail->lanes().held(0) ? Scrubber::Mode::kReads : Scrubber::Mode::kRests);
    co_await net::Sleep(*loop, kScrubLook);
  }
}

// Destroyed from the last to the first.
struct Store::Parts {
  MailStore::Options options;
  std::shared_ptr<sql::Database> shared;  // null: files of our own
  TrackedDatabase* tracked = nullptr;     // null: no files
  std::shared_ptr<sql::WriteGate> gate;
  std::unique_ptr<Configuration> configuration;
  std::unique_ptr<TicketSigner> signer;
  std::unique_ptr<Authenticator> authenticator;
  MessageFiles messages;
  std::unique_ptr<EventStore> events;
  std::unique_ptr<Database> database;
  std::unique_ptr<net::BlockingPool> files;
  std::unique_ptr<DigestCache> digests;
  std::unique_ptr<MailStore> mail;
  std::unique_ptr<Scrubber> scrubber;
  std::unique_ptr<ObjectsService> objects_service;
  std::unique_ptr<DirectoryService> directory_service;
  std::unique_ptr<BlobsService> blobs_service;
  std::unique_ptr<JournalsService> journals_service;
  std::unique_ptr<sql::Database> queue_file;  // null: the shared database holds its tables
  std::unique_ptr<QueueJournals> queue_journals;
  std::unique_ptr<AllJournals> journals;  // of both kinds
  std::unique_ptr<TraceService> trace_service;
  std::unique_ptr<AdminService> admin_service;
  std::unique_ptr<MigrateService> migrate_service;
  std::unique_ptr<Collector> collector;
};

Store::Store(process::Service& service) : service_(service), parts_(std::make_unique<Parts>()) {}
Store::~Store() = default;

net::Task<absl::Status> Store::SetUp() {
  if (service_.flags().data.empty()) co_return base::Invalid("--data is missing");
  // Whatever is made from here on belongs to this user alone: the key of all secrets lies among it.
  umask(0077);
  CO_RETURN_IF_ERROR(co_await ConnectDatabases());
  parts_->options = MailOptions(service_);
  CO_RETURN_IF_ERROR(
      co_await ClaimName(service_.loop(), *parts_->database, parts_->options.replica));
  CO_RETURN_IF_ERROR(Open());
  CO_RETURN_IF_ERROR(co_await StartMail());
  CO_RETURN_IF_ERROR(co_await Serve());
  FollowConfiguration();
  StartCollector();
  const Model& model = parts_->configuration->model();
  observe::Info("store.open", {{"revision", parts_->configuration->head()},
                               {"domains", model.domains()},
                               {"accounts", model.accounts()},
                               {"segments", parts_->messages.blobs->Stats().segments}});
  co_return absl::OkStatus();
}

// Servers of a database may start later than the store, and all of them may be away for a while.
net::Task<absl::Status> Store::ConnectDatabases() {
  CO_RETURN_IF_ERROR(file::RegisterSqliteVfs(file::Real(), "posthorn-directory", "directory"));
  CO_RETURN_IF_ERROR(file::RegisterSqliteVfs(file::Real(), "posthorn-mail", "mail"));
  CO_RETURN_IF_ERROR(file::RegisterSqliteVfs(file::Real(), "posthorn-queue", "queue"));
  bool told = false;
  for (;;) {
    absl::StatusOr<Databases> open = OpenDatabases(service_.flags());
    if (open.ok()) {
      parts_->shared = std::move(open->shared);
      parts_->database = std::move(open->mail);
      parts_->tracked = open->tracked;
      parts_->gate = std::move(open->gate);
      co_return absl::OkStatus();
    }
    if (!absl::IsUnavailable(open.status()) || OwnFlag(service_.flags(), "database").empty())
      co_return open.status();
    if (!std::exchange(told, true))
      observe::Warning("store.waiting_for_database", {{"reason", base::Message(open.status())}});
    co_await net::Sleep(service_.loop(), kDatabasePause);
  }
}

absl::Status Store::Open() {
  Parts& parts = *parts_;
  net::Loop& loop = service_.loop();
  file::FileSystem& files = file::Real();
  const std::string& data = service_.flags().data;
  ASSIGN_OR_RETURN(
      parts.configuration,
      Configuration::Open(loop, files,
                          {.directory = data,
                           .vfs = "posthorn-directory",
                           .gate = parts.gate,
                           .database = parts.shared,
                           .key_file = OwnFlag(service_.flags(), "key-file"),
                           .hash_threads = std::clamp<int>(
                               static_cast<int>(std::thread::hardware_concurrency()), 2, 8)}));
  ASSIGN_OR_RETURN(parts.messages, OpenMessageFiles(service_, parts.shared, parts.gate));
  ASSIGN_OR_RETURN(parts.events, OpenEvents(files, data + "/events"));
  RETURN_IF_ERROR(files.SyncDirectory(data, "store.data"));
  parts.signer = std::make_unique<TicketSigner>(parts.configuration->box().Derive("ticket"),
                                                parts.configuration->model());
  parts.authenticator = std::make_unique<Authenticator>(*parts.configuration, *parts.signer);
  parts.files = std::make_unique<net::BlockingPool>(loop, "files", kFileThreads, kMaxQueuedFiles);
  parts.digests = std::make_unique<DigestCache>(*parts.messages.blobs, *parts.files, kDigestBudget);
  parts.scrubber = std::make_unique<Scrubber>(*parts.messages.blobs, ScrubberOptions());
  return absl::OkStatus();
}

net::Task<absl::Status> Store::StartMail() {
  Parts& parts = *parts_;
  parts.mail = std::make_unique<MailStore>(
      MailStore::Parts{service_.loop(), *parts.database, *parts.messages.blobs, *parts.digests,
                       parts.configuration->model(), *parts.signer},
      parts.options);
  service_.OnStop([&parts] {
    if (parts.collector) parts.collector->Stop();
    return parts.mail->Stop();
  });
  CO_RETURN_IF_ERROR(co_await parts.mail->Start());
  parts.configuration->SetSessionEnder(*parts.mail);
  parts.configuration->SetLifecycle(*parts.mail);
  service_.AddReadiness([replicas = &parts.mail->replicas()] { return replicas->Missing(); });
  co_return absl::OkStatus();
}

net::Task<absl::Status> Store::Serve() {
  Parts& parts = *parts_;
  rpc::Server& server = service_.server();
  parts.objects_service =
      std::make_unique<ObjectsService>(*parts.configuration, *parts.authenticator);
  parts.directory_service =
      std::make_unique<DirectoryService>(*parts.configuration, *parts.authenticator);
  parts.directory_service->SetUsage(*parts.mail);
  parts.blobs_service = std::make_unique<BlobsService>(service_.loop(), *parts.messages.blobs,
                                                       *parts.digests, *parts.files);
  parts.journals_service = std::make_unique<JournalsService>(service_.loop(), *parts.configuration);
  parts.trace_service = std::make_unique<TraceService>(*parts.events, *parts.files);
  if (parts.shared != nullptr) {
    parts.journals_service->SetAttended([lanes = &parts.mail->lanes()] { return lanes->held(0); });
  }
  CO_RETURN_IF_ERROR(co_await parts.journals_service->Load());
  parts.objects_service->Register(server);
  parts.directory_service->Register(server);
  parts.blobs_service->Register(server);
  parts.journals_service->Register(server);
  if (parts.shared == nullptr) {
    parts.queue_file = sql::OpenSqlite(
        {.path = service_.flags().data + "/queue.db", .vfs = "posthorn-queue", .gate = parts.gate});
  }
  sql::Database& journals = parts.shared != nullptr ? *parts.shared : *parts.queue_file;
  CO_ASSIGN_OR_RETURN(parts.queue_journals, QueueJournals::Open(service_.loop(), journals));
  parts.queue_journals->Register(server);
  parts.journals = std::make_unique<AllJournals>(
      std::vector<JournalRegistry*>{parts.journals_service.get(), parts.queue_journals.get()});
  parts.trace_service->Register(server);
  parts.admin_service = std::make_unique<AdminService>(AdminService::Parts{
      service_.loop(), *parts.configuration, *parts.messages.blobs, *parts.events, *parts.database,
      parts.mail->lanes(), *parts.mail, *parts.journals, &parts.mail->replicas(),
      [journals = parts.queue_journals.get()] { return journals->Summaries(); }});
  parts.admin_service->Register(server);
  ServeMigration();
  service_.AddReport([admin = parts.admin_service.get()](admin::v1::ProcessReport& report) {
    admin->Describe(report);
  });
  parts.mail->Register(server);
  co_return absl::OkStatus();
}

void Store::ServeMigration() {
  Parts& parts = *parts_;
  const std::string& data = service_.flags().data;
  MigrateService::Parts with{service_.loop(),      parts.tracked, parts.gate.get(), {}, data,
                             parts.messages.folder};
  with.files = {{MoveFile::kMail, data + "/mail.db", "posthorn-mail"},
                {MoveFile::kDirectory, data + "/directory.db", "posthorn-directory"},
                {MoveFile::kQueue, data + "/queue.db", "posthorn-queue"}};
  if (!parts.messages.registry_file.empty()) {
    with.files.push_back({MoveFile::kSegments, parts.messages.registry_file, "posthorn-directory"});
  }
  parts.migrate_service = std::make_unique<MigrateService>(std::move(with));
  parts.migrate_service->Register(service_.server());
  service_.AddReadiness([migrate = parts.migrate_service.get()] { return migrate->moved(); });
}

void Store::StartCollector() {
  MailStore* const mail = parts_->mail.get();
  service_.loop().Spawn("scrubber", LetScrub(&service_.loop(), parts_->scrubber.get(), mail));
  parts_->collector = std::make_unique<Collector>(mail->lanes(), *parts_->messages.blobs,
                                                  *parts_->journals, CollectorOptions());
  service_.loop().Spawn("collector", parts_->collector->Run());
  service_.loop().Spawn(
      "room", WatchRoom(&service_.loop(), parts_->files.get(), parts_->messages.blobs.get()));
}

void Store::FollowConfiguration() {
  service_.OnConfig([events = parts_->events.get(),
                     model = &parts_->configuration->model()](const config::Snapshot& snapshot) {
    const auto& settings = snapshot.Get<posthorn::config::v1::Settings>();
    model->SetPostmaster(mail::NormalAddress(settings.postmaster()).value_or(std::string()));
    if (settings.trace_days() > 0) {
      events->SetRetention(
          static_cast<int>((settings.trace_days() + kDaySeconds - 1) / kDaySeconds));
    }
  });
}

}  // namespace posthorn::store_service
