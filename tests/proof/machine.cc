#include "tests/proof/machine.h"

#include <chrono>
#include <limits>

#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/local/local_delivery.h"
#include "delivery-queue/service/store_calls.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/cluster/stores.h"
#include "lib/file/sqlite_vfs.h"
#include "lib/rpc/server.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/auth/authenticator.h"
#include "store-service/blob/local_blob_store.h"
#include "store-service/collector/collector.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/directory/resolve.h"
#include "store-service/events/event_store.h"
#include "store-service/mailbox/mail_store.h"
#include "store-service/objects/configuration.h"
#include "store-service/service/blobs_service.h"
#include "store-service/service/digest_cache.h"
#include "store-service/service/directory_service.h"
#include "store-service/service/journals_service.h"

namespace posthorn::proof {
namespace {

namespace store = store_service;
using delivery_queue::MailQueue;
using posthorn::testing::RunTask;

// Small, so that a short run rolls, rewrites and copies back what a long one would.
constexpr uint64_t kSegmentBytes = 20'000;
constexpr double kRewriteShare = 0.05;
constexpr uint64_t kJournalBytes = 4'000;
constexpr int kCheckpointFrames = 60;
constexpr std::chrono::seconds kPatience{15};

// Every remote host is away.
class AwayRemote final : public delivery_queue::RemoteDelivery,
                         public delivery_queue::ReportWriter {
 public:
  void Submit(delivery_queue::RemoteJob job) override {
    using Kind = delivery_queue::RemoteOutcome::Kind;
    for (const int recipient : job.recipients)
      job.done(recipient, {Kind::kDeferred, "451 away", "4.4.1", ""});
  }
  net::Task<absl::StatusOr<std::optional<queue::v1::Entry>>> Write(
      delivery_queue::ReportRequest) override {
    co_return base::Unavailable("nothing bounces here");
  }
};

net::Task<void> StopMail(store::MailStore& mail) { co_await mail.Stop(); }

// Before that a delivery waits some tenths of a second, as its account may belong to anybody.
net::Task<void> KnowStores(cluster::Stores& stores) {
  while (stores.PlaceOf(1) == 0) co_await stores.changed().Wait();
}

}  // namespace

struct Machine::Parts {
  explicit Parts(Options options_in) : options(std::move(options_in)) {}
  ~Parts();
  absl::Status OpenStore();
  std::unique_ptr<rpc::Client> Connect(const std::string& target);
  absl::Status Serve();
  absl::Status OpenQueue();

  const Options options;
  testing::TempDir sockets;
  net::Loop loop;
  // The store, as in store-service/store.cc.
  std::unique_ptr<store::Configuration> configuration;
  std::unique_ptr<store::TicketSigner> signer;
  std::unique_ptr<store::Authenticator> authenticator;
  std::unique_ptr<store::BlobStore> blobs;
  std::unique_ptr<store::EventStore> events;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<net::BlockingPool> files;
  std::unique_ptr<store::DigestCache> digests;
  std::unique_ptr<store::MailStore> mail;
  bool mail_started = false;
  std::unique_ptr<store::DirectoryService> directory_service;
  std::unique_ptr<store::BlobsService> blobs_service;
  std::unique_ptr<store::JournalsService> journals_service;
  std::set<std::string> journals_found;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<rpc::Client> gateway;
  // The queue, as in delivery-queue/main.cc.
  std::unique_ptr<cluster::Stores> queue_client;
  std::unique_ptr<delivery_queue::StoreDeliverer> deliverer;
  std::unique_ptr<delivery_queue::StoreDirectory> directory;
  AwayRemote remote;
  std::unique_ptr<delivery_queue::Journal> journal;
  std::unique_ptr<delivery_queue::LocalDelivery> local;
  std::unique_ptr<MailQueue> queue;
};

Machine::Parts::~Parts() {
  queue.reset();
  local.reset();
  journal.reset();
  queue_client.reset();
  gateway.reset();
  if (server) server->Stop(std::chrono::milliseconds(0));
  if (mail_started) RunTask(loop, StopMail(*mail));
  server.reset();
}

absl::Status Machine::Parts::OpenStore() {
  file::FileSystem& system = *options.files;
  const std::string data = options.root + "/store";
  RETURN_IF_ERROR(system.MakeDirectory(data));
  RETURN_IF_ERROR(system.SyncDirectory(options.root, "machine.root"));
  ASSIGN_OR_RETURN(
      configuration,
      store::Configuration::Open(
          loop, system, {.directory = data, .vfs = options.vfs + "-directory", .hash_threads = 1}));
  RETURN_IF_ERROR(system.MakeDirectory(data + "/blobs"));
  ASSIGN_OR_RETURN(blobs,
                   store::OpenLocalBlobStore({.directory = data + "/blobs",
                                              .system = &system,
                                              .roll_bytes = kSegmentBytes,
                                              .rewrite_share = kRewriteShare,
                                              .deliver =
                                                  [this](std::vector<store::Completion> batch) {
                                                    auto shared = std::make_shared<decltype(batch)>(
                                                        std::move(batch));
                                                    loop.Post([shared] {
                                                      for (auto& one : *shared)
                                                        one.done(std::move(one.result));
                                                    });
                                                  },
                                              .on_damage = [](const store::BlobDamage&) {}}));
  ASSIGN_OR_RETURN(
      events,
      store::OpenEventStore(
          {.directory = data + "/events", .system = &system, .flush_ms = 5, .sync_ms = 10}));
  ASSIGN_OR_RETURN(database, store::OpenSqliteDatabase({.path = data + "/mail.db",
                                                        .vfs = options.vfs + "-mail",
                                                        .cache_kib = 1024,
                                                        .checkpoint_frames = kCheckpointFrames}));
  RETURN_IF_ERROR(system.SyncDirectory(data, "store.data"));
  signer = std::make_unique<store::TicketSigner>(configuration->box().Derive("ticket"),
                                                 configuration->model());
  authenticator = std::make_unique<store::Authenticator>(*configuration, *signer);
  files = std::make_unique<net::BlockingPool>(loop, "files", 2, 1000);
  digests = std::make_unique<store::DigestCache>(*blobs, *files, size_t{1} << 20);
  mail = std::make_unique<store::MailStore>(
      store::MailStore::Parts{loop, *database, *blobs, *digests, configuration->model(), *signer},
      store::MailStore::Options{.reader_threads = 1});
  mail_started = true;
  return RunTask(loop, mail->Start());
}

std::unique_ptr<rpc::Client> Machine::Parts::Connect(const std::string& target) {
  return rpc::Client::Create(loop, {target, ""});
}

absl::Status Machine::Parts::Serve() {
  rpc::Server::Options listen;
  for (const char* role : {"imap-gateway", "delivery-queue"}) {
    listen.addresses.push_back({base::StrCat("unix:", sockets.File(role)), role});
  }
  server = rpc::Server::Create(loop, listen);
  directory_service = std::make_unique<store::DirectoryService>(*configuration, *authenticator);
  directory_service->SetUsage(*mail);
  blobs_service = std::make_unique<store::BlobsService>(loop, *blobs, *digests, *files);
  journals_service = std::make_unique<store::JournalsService>(loop, *configuration);
  RETURN_IF_ERROR(RunTask(loop, journals_service->Load()));
  for (const auto& [id, connected] : journals_service->All()) journals_found.insert(id);
  directory_service->Register(*server);
  journals_service->Register(*server);
  blobs_service->Register(*server);
  mail->Register(*server);
  RETURN_IF_ERROR(server->Start());
  gateway = Connect(listen.addresses[0].listen);
  cluster::Stores::Options store;
  store.targets = {listen.addresses[1].listen};
  store.caller = "delivery-queue";
  store.connect = [this](const std::string& target) { return Connect(target); };
  queue_client = cluster::Stores::Create(loop, std::move(store));
  return absl::OkStatus();
}

absl::Status Machine::Parts::OpenQueue() {
  const std::string data = options.root + "/queue";
  RETURN_IF_ERROR(options.files->MakeDirectory(data));
  RETURN_IF_ERROR(options.files->SyncDirectory(options.root, "machine.root"));
  deliverer = std::make_unique<delivery_queue::StoreDeliverer>(*queue_client);
  directory = std::make_unique<delivery_queue::StoreDirectory>(*queue_client);
  ASSIGN_OR_RETURN(journal, delivery_queue::OpenLocalJournal(
                                loop, *options.files,
                                {.directory = data + "/journal", .file_bytes = kJournalBytes}));
  local = std::make_unique<delivery_queue::LocalDelivery>(loop, *deliverer, journal->id(),
                                                          [this] { return queue->Oldest(); });
  MailQueue::Limits limits;
  limits.retry.waits_seconds = {7200};
  queue = std::make_unique<MailQueue>(MailQueue::Parts{loop, *journal, *directory, *local, remote,
                                                       remote, [](const common::v1::Event&) {}},
                                      limits);
  RunTask(loop, KnowStores(*queue_client));
  RETURN_IF_ERROR(RunTask(loop, queue->Recover()));
  loop.Spawn("attend",
             delivery_queue::AttendCollector(loop, *queue_client, *queue, journal->id(), "proof"));
  return absl::OkStatus();
}

absl::Status Machine::RegisterVfs(file::FileSystem& files, const std::string& vfs) {
  RETURN_IF_ERROR(file::RegisterSqliteVfs(files, vfs + "-mail", "mail"));
  return file::RegisterSqliteVfs(files, vfs + "-directory", "directory");
}

void Machine::UnregisterVfs(const std::string& vfs) {
  file::UnregisterSqliteVfs(vfs + "-mail");
  file::UnregisterSqliteVfs(vfs + "-directory");
}

absl::StatusOr<std::unique_ptr<Machine>> Machine::Start(Options options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  RETURN_IF_ERROR(parts->OpenStore());
  RETURN_IF_ERROR(parts->Serve());
  RETURN_IF_ERROR(parts->OpenQueue());
  return std::unique_ptr<Machine>(new Machine(std::move(parts)));
}

Machine::Machine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Machine::~Machine() = default;

net::Loop& Machine::loop() { return parts_->loop; }
store_service::Database& Machine::database() { return *parts_->database; }
store_service::BlobStore& Machine::blobs() { return *parts_->blobs; }
delivery_queue::MailQueue& Machine::queue() { return *parts_->queue; }
store_service::EventStore& Machine::events() { return *parts_->events; }
const std::set<std::string>& Machine::journals_found() { return parts_->journals_found; }
std::string Machine::journal_id() { return parts_->journal->id(); }
rpc::Client& Machine::gateway() { return *parts_->gateway; }

std::string Machine::TicketFor(base::AccountId account) {
  const store::AccountFacts facts = parts_->configuration->model().Facts(account);
  return parts_->signer->Issue(
      {.account = account, .protocol = "imap", .session_version = facts.session_version});
}

net::Task<absl::StatusOr<common::v1::BlobId>> Machine::Put(std::string body) {
  constexpr size_t kChunk = 65536;
  auto call = gateway().Start(rpc::store::kBlobsPut.path, "put", rpc::Flow::kFree, {});
  ::posthorn::store::v1::PutRequest request;
  for (size_t at = 0; at < body.size(); at += kChunk) {
    request.set_chunk(body.substr(at, kChunk));
    CO_RETURN_IF_ERROR(co_await call->Write(request));
  }
  call->WritesDone();
  ::posthorn::store::v1::PutReply reply;
  CO_ASSIGN_OR_RETURN(const bool answered, co_await call->Read(reply));
  if (!answered) co_return base::Internal("no answer");
  co_return reply.blob();
}

net::Task<absl::Status> Machine::Accept(queue::v1::Entry entry) {
  net::Promise<absl::Status> durable(parts_->loop);
  parts_->queue->Accept(std::move(entry),
                        [durable](absl::Status status) mutable { durable.Set(std::move(status)); });
  co_return co_await durable.Get();
}

net::Task<absl::Status> Machine::Commit(std::string kind, std::string name, std::string data) {
  store::Configuration& configuration = *parts_->configuration;
  store::CommitInput input;
  input.expected_head = configuration.head();
  input.changes.push_back(
      {.kind = "posthorn.config.v1." + kind, .name = std::move(name), .data = std::move(data)});
  input.author = "operator";
  const absl::StatusOr<uint64_t> head = co_await configuration.Commit(std::move(input));
  co_return head.status();
}

base::AccountId Machine::AccountOf(const std::string& address) {
  const store::Resolution found = store::Resolve(parts_->configuration->model(), address);
  return found.account == nullptr ? 0 : found.account->id;
}

net::Task<absl::Status> Machine::CollectGarbage(int64_t now_ms) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!parts_->journals_service->All()[journal_id()]) {
    if (std::chrono::steady_clock::now() > limit) co_return base::Unavailable("nobody attends");
    co_await net::Sleep(parts_->loop, std::chrono::milliseconds(1));
  }
  store::CollectorOptions options;
  // The other clocks are real ones: a message finished just now may come back unfinished.
  options.deliveries_ms = std::numeric_limits<int64_t>::max() / 2;
  options.now_ms = [now_ms] { return now_ms; };
  options.scan_bytes_a_second = 0;
  store::Collector collector(parts_->mail->lanes(), *parts_->blobs, *parts_->journals_service,
                             options);
  const auto result = co_await collector.RunOnce();
  co_return result.status();
}

net::Task<absl::Status> Machine::Drain() {
  MailQueue& queue = *parts_->queue;
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < limit) {
    bool ready = queue.counts().active > 0;
    for (const delivery_queue::EntryKey& key : queue.Keys(nullptr, SIZE_MAX)) {
      if (ready) break;
      const auto entry = co_await queue.Look(key);
      if (!entry.ok()) continue;
      for (const auto& state : entry->states()) {
        ready = ready || state.phase() == queue::v1::RecipientState::READY;
      }
    }
    if (!ready) co_return absl::OkStatus();
    co_await net::Sleep(parts_->loop, std::chrono::milliseconds(1));
  }
  co_return base::Unavailable("the queue does not come to rest");
}

}  // namespace posthorn::proof
