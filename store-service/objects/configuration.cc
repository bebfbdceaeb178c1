#include "store-service/objects/configuration.h"

#include <algorithm>

#include "lib/auth/password_hash.h"
#include "lib/auth/scram.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/directory/schema.h"
#include "store-service/objects/key_check.h"
#include "store-service/objects/key_file.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kMaxQueuedCommits = 256;
constexpr size_t kMaxQueuedReads = 1024;
constexpr size_t kMaxQueuedHashes = 100;  // at 45 ms each and two threads: about two seconds

absl::StatusOr<Credential> HashOne(const std::string& value) {
  // A hash made elsewhere is taken over; its SCRAM verifier is made at the first login.
  if (auth::IsPasswordHash(value)) return Credential{value, ""};
  Credential credential;
  ASSIGN_OR_RETURN(credential.hash, auth::HashPassword(value));
  ASSIGN_OR_RETURN(const auth::ScramVerifier verifier, auth::ScramVerifier::Make(value));
  credential.scram = verifier.ToString();
  return credential;
}

// A second replica must not make a key of its own.
absl::Status ExpectKey(file::FileSystem& files, sql::Database& database, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<sql::Connection> db, database.Connect());
  RETURN_IF_ERROR(db->Migrate("directory", DirectorySchema()));
  ASSIGN_OR_RETURN(const bool has_key, HasKey(*db));
  if (!has_key || !absl::IsNotFound(files.SizeOf(path).status())) return absl::OkStatus();
  return base::Precondition(
      base::StrCat("there is no ", path,
                   ", but this database has a key: copy it from another store (--key-file)"));
}

}  // namespace

// The passwords of one commit.
struct Configuration::Hashing {
  struct Job {
    size_t change;
    WriteOnlyValue value;
    Credential credential;
  };
  explicit Hashing(net::Loop& loop) : done(loop) {}
  std::vector<Job> jobs;  // in the order of the changes
  size_t next = 0;
  size_t running = 0;
  absl::Status failed;
  net::Promise<bool> done;
};

Configuration::Configuration(net::Loop& loop, std::string key, const Options& options)
    : loop_(loop),
      box_(std::move(key)),
      kinds_(options.pool),
      feed_(loop),
      erase_(loop),
      erase_retry_(options.erase_retry) {}

Configuration::~Configuration() { *self_ = nullptr; }

absl::StatusOr<std::unique_ptr<Configuration>> Configuration::Open(net::Loop& loop,
                                                                   file::FileSystem& files,
                                                                   Options options) {
  if (options.key_file.empty()) options.key_file = options.directory + "/directory.key";
  const std::string path = options.directory + "/directory.db";
  if (options.database == nullptr) {
    options.database = sql::OpenSqlite({.path = path, .vfs = options.vfs, .gate = options.gate});
  } else {
    RETURN_IF_ERROR(ExpectKey(files, *options.database, options.key_file));
  }
  ASSIGN_OR_RETURN(std::string key, LoadOrMakeKey(files, options.key_file, path));
  std::unique_ptr<Configuration> configuration(new Configuration(loop, std::move(key), options));
  RETURN_IF_ERROR(base::Annotate(configuration->OpenTables(options), "directory"));
  return configuration;
}

absl::Status Configuration::OpenTables(const Options& options) {
  database_ = options.database;
  ASSIGN_OR_RETURN(writer_, ObjectStore::Open(*database_, box_, kinds_));
  ASSIGN_OR_RETURN(reader_, ObjectStore::Open(*database_, box_, kinds_));
  RETURN_IF_ERROR(CheckKey(writer_->db(), box_.Derive("key check")));
  ASSIGN_OR_RETURN(const Everything all, writer_->LoadAll());
  tip_ = all.tip;
  model_.Apply(all.directory, tip_.revision);
  for (const AccountRecord& account : all.directory.accounts) {
    if (account.deleting) to_erase_.push_back(account.id);
  }
  write_pool_ = std::make_unique<net::BlockingPool>(loop_, "directory", 1, kMaxQueuedCommits);
  read_pool_ = std::make_unique<net::BlockingPool>(loop_, "directory-read", 1, kMaxQueuedReads);
  hash_pool_ =
      std::make_unique<net::BlockingPool>(loop_, "hash", options.hash_threads, kMaxQueuedHashes);
  hash_threads_ = static_cast<size_t>(options.hash_threads);
  if (!database_->shared()) return absl::OkStatus();
  // A connection of its own: a look at the head must not wait behind long lists.
  ASSIGN_OR_RETURN(follower_, ObjectStore::Open(*database_, box_, kinds_));
  follow_pool_ = std::make_unique<net::BlockingPool>(loop_, "directory-follow", 1, 16);
  rounds_ =
      std::make_unique<Rounds>(loop_, options.follow, [self = self_] { return Follow(self); });
  model_.SetCatchUp([this] { return CatchUp(); });
  return absl::OkStatus();
}

net::Task<absl::StatusOr<uint64_t>> Configuration::Commit(CommitInput input) {
  // Before passwords are hashed; the guard in the transaction decides.
  if (input.expected_head > head()) CO_RETURN_IF_ERROR(co_await CatchUp());
  if (input.expected_head != head()) co_return base::Aborted("the configuration has moved on");
  CO_ASSIGN_OR_RETURN(PreparedCommit prepared, co_await Prepare(std::move(input)));
  net::Promise<absl::StatusOr<uint64_t>> promise(loop_);
  loop_.Spawn("directory.commit",
              CommitAndApply(std::make_shared<const PreparedCommit>(std::move(prepared)), promise));
  co_return co_await promise.Get();
}

net::Task<absl::StatusOr<PreparedCommit>> Configuration::Prepare(CommitInput input) {
  PreparedCommit commit{.expected_head = input.expected_head,
                        .author = std::move(input.author),
                        .reason = std::move(input.reason),
                        .time_ms = base::WallMillis(),
                        .commit_id = std::string(base::MessageId::New().bytes()),
                        .changes = {}};
  const auto hashing = std::make_shared<Hashing>(loop_);
  for (ChangeInput& asked : input.changes) {
    PreparedChange change;
    change.kind = kinds_.Of(asked.kind);
    change.name = std::move(asked.name);
    change.remove = asked.remove;
    change.expected_revision = asked.expected_revision;
    change.renamed_from = std::move(asked.renamed_from);
    if (change.name.empty() || asked.kind.empty()) co_return base::Invalid("kind or name missing");
    if (change.name.size() > ObjectStore::kMaxName) co_return base::Invalid("the name is too long");
    if (!change.remove) {
      CO_ASSIGN_OR_RETURN(Stripped stripped, kinds_.Strip(*change.kind, asked.data));
      change.data = std::move(stripped.data);
      for (WriteOnlyValue& value : stripped.values) {
        hashing->jobs.push_back({commit.changes.size(), std::move(value), {}});
      }
    }
    commit.changes.push_back(std::move(change));
  }
  CO_RETURN_IF_ERROR(co_await HashAll(hashing));
  for (Hashing::Job& job : hashing->jobs) {
    commit.changes[job.change].credentials.push_back(
        {std::move(job.value.field), std::move(job.credential)});
  }
  co_return commit;
}

// As many at once as there are threads: thousands of accounts in one apply take their turns with
// logins, which hash on the same threads.
net::Task<absl::Status> Configuration::HashAll(std::shared_ptr<Hashing> hashing) {
  if (hashing->jobs.empty()) co_return absl::OkStatus();
  // A caller that goes away leaves no work behind.
  struct Leave {
    ~Leave() { hashing.next = hashing.jobs.size(); }
    Hashing& hashing;
  } const leave{*hashing};
  hashing->running = std::min(hash_threads_, hashing->jobs.size());
  for (size_t i = hashing->running; i > 0; --i) loop_.Spawn("directory.hash", HashSome(hashing));
  co_await hashing->done.Get();
  co_return hashing->failed;
}

net::Task<void> Configuration::HashSome(std::shared_ptr<Hashing> hashing) {
  while (hashing->failed.ok() && hashing->next < hashing->jobs.size()) {
    Hashing::Job& job = hashing->jobs[hashing->next++];
    absl::StatusOr<Credential> credential =
        co_await hash_pool_->Run([text = std::move(job.value.value)] { return HashOne(text); });
    if (credential.ok()) {
      job.credential = *std::move(credential);
    } else {
      // A full pool is no full disk.
      hashing->failed = absl::IsResourceExhausted(credential.status())
                            ? base::Unavailable("too many passwords to hash")
                            : credential.status();
    }
  }
  if (--hashing->running == 0) hashing->done.Set(true);
}

net::Task<void> Configuration::CommitAndApply(std::shared_ptr<const PreparedCommit> commit,
                                              net::Promise<absl::StatusOr<uint64_t>> promise) {
  absl::StatusOr<Committed> committed = co_await write_pool_->Run(
      [commit, writer = writer_.get()] { return writer->Commit(*commit); });
  if (!committed.ok()) {
    promise.Set(committed.status());
    co_return;
  }
  // What another replica committed since was followed already; then this was, too.
  if (tip_.revision == committed->since)
    Apply(*committed, {committed->revision, commit->commit_id});
  promise.Set(committed->revision);
}

void Configuration::Apply(const Committed& committed, Tip tip) {
  std::vector<FeedChange> changes = DescribeChanges(model_, committed);
  model_.Apply(committed.delta, committed.revision);
  tip_ = std::move(tip);
  for (const AccountRecord& account : committed.delta.accounts) {
    if (account.deleting) to_erase_.push_back(account.id);
  }
  Tell(std::move(changes));
  erase_.NotifyAll();
}

void Configuration::Tell(std::vector<FeedChange> changes) {
  for (FeedChange& change : changes) {
    if (change.end_sessions && ender_ != nullptr) ender_->EndSessions(change.account);
    feed_.Push(std::move(change));
  }
}

net::Task<absl::StatusOr<ObjectPage>> Configuration::List(std::string kind, std::string name,
                                                          ListQuery query) {
  co_return co_await read_pool_->Run(
      [kind = std::move(kind), name = std::move(name), query = std::move(query),
       reader = reader_.get()] { return reader->List(kind, name, query); });
}

net::Task<absl::StatusOr<std::vector<Revision>>> Configuration::History(HistoryQuery query) {
  co_return co_await read_pool_->Run(
      [query, reader = reader_.get()] { return reader->History(query); });
}

net::Task<absl::StatusOr<std::optional<Credential>>> Configuration::FindCredential(
    CredentialOwner owner) {
  co_return co_await read_pool_->Run([owner = std::move(owner), reader = reader_.get()] {
    return store_service::FindCredential(reader->db(), owner);
  });
}

void Configuration::RefreshCredential(CredentialOwner owner, std::string seen, Credential fresh) {
  struct Refresh {
    static net::Task<void> Run(Configuration* self, CredentialOwner owner, std::string seen,
                               Credential fresh) {
      const absl::Status status = co_await self->Write([owner, seen, fresh](sql::Connection& db) {
        return store_service::RefreshCredential(db, owner, seen, fresh);
      });
      if (!status.ok())
        observe::Warning("directory.refresh_credential", {{"reason", base::Message(status)}});
    }
  };
  loop_.Spawn("directory.refresh",
              Refresh::Run(this, std::move(owner), std::move(seen), std::move(fresh)));
}

net::Task<absl::Status> Configuration::Write(std::function<absl::Status(sql::Connection&)> work) {
  co_return co_await write_pool_->Run([work = std::move(work), writer = writer_.get()] {
    return sql::Transact(writer->db(), [&] { return work(writer->db()); });
  });
}

}  // namespace posthorn::store_service
