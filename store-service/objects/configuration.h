#pragma once

// The configuration and the directory as the rest of the store uses them: on the store's loop,
// without blocking it. Invariants:
//  1. A commit that reached the database is applied to the model and told to watchers, whatever
//  became of its caller, and whichever replica made it; in the order of revisions.
//  2. On a shared database the model may be a moment behind. What is not found in it is only then
//  not there when CatchUp() was OK since.
//  3. Passwords are hashed on a pool of their own with a bounded queue; nothing else runs there.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "store-service/database/sql/write_gate.h"
#include "store-service/directory/feed.h"
#include "store-service/directory/model.h"
#include "store-service/objects/object_store.h"
#include "store-service/objects/rounds.h"

namespace posthorn::store_service {

// One change as the caller asks for it: proto Change.
struct ChangeInput {
  std::string kind;
  std::string name;
  std::string data;
  bool remove = false;
  std::optional<uint64_t> expected_revision;
  std::string renamed_from;
};
struct CommitInput {
  uint64_t expected_head = 0;
  std::vector<ChangeInput> changes;
  std::string author;
  std::string reason;
};

class Configuration {
 public:
  struct Options {
    std::string directory;  // holds directory.db and directory.key
    std::string vfs;
    // What writers of directory.db pass; null: nothing.
    std::shared_ptr<sql::WriteGate> gate;
    // Instead of directory.db.
    std::shared_ptr<sql::Database> database;
    std::string key_file;  // empty: directory.key
    // How often to look for commits of other replicas, when there are any.
    std::chrono::milliseconds follow{100};
    // How long after a failure the mail of removed accounts is erased again.
    std::chrono::milliseconds erase_retry{5000};
    int hash_threads = 2;
    // For tests: kinds of another pool.
    const google::protobuf::DescriptorPool* pool =
        google::protobuf::DescriptorPool::generated_pool();
  };
  // Opens (or makes) the files and loads the directory. Blocks. `loop` and `files` outlive it.
  static absl::StatusOr<std::unique_ptr<Configuration>> Open(net::Loop& loop,
                                                             file::FileSystem& files,
                                                             Options options);
  ~Configuration();

  // The new head; errors as ObjectStore::Commit, and kInvalidArgument for objects that do not
  // parse.
  net::Task<absl::StatusOr<uint64_t>> Commit(CommitInput input);
  net::Task<absl::StatusOr<ObjectPage>> List(std::string kind, std::string name, ListQuery query);
  net::Task<absl::StatusOr<std::vector<Revision>>> History(HistoryQuery query);
  uint64_t head() const { return tip_.revision; }

  // OK: all that was committed before this call, by any replica, is in the model. kUnavailable: the
  // database does not answer. At once when no other process writes to the database.
  net::Task<absl::Status> CatchUp();
  // How long ago the newest commits of other replicas were looked for with success, in ms; 0 when
  // there are none.
  int64_t behind_ms() const;
  // True when other replicas write to the database too.
  bool shared() const { return database_->shared(); }

  net::Task<absl::StatusOr<std::optional<Credential>>> FindCredential(CredentialOwner owner);
  // In the background; a lost refresh is made at the next login.
  void RefreshCredential(CredentialOwner owner, std::string seen, Credential fresh);

  Model& model() { return model_; }
  Feed& feed() { return feed_; }
  const SecretBox& box() const { return box_; }
  net::BlockingPool& hash_pool() { return *hash_pool_; }
  // For small tables of others in the same file (the registry of journals). `work` runs on the
  // writer's thread.
  net::Task<absl::Status> Write(std::function<absl::Status(sql::Connection&)> work);

  // From now on accounts that were removed lose their mail, also those left over from before a
  // crash.
  void SetLifecycle(AccountLifecycle& lifecycle);
  void SetSessionEnder(SessionEnder& ender) { ender_ = &ender; }

 private:
  Configuration(net::Loop& loop, std::string key, const Options& options);
  absl::Status OpenTables(const Options& options);
  net::Task<absl::StatusOr<PreparedCommit>> Prepare(CommitInput input);
  struct Hashing;
  net::Task<absl::Status> HashAll(std::shared_ptr<Hashing> hashing);
  net::Task<void> HashSome(std::shared_ptr<Hashing> hashing);
  // A coroutine of its own, so that a caller that goes away cannot part database and model.
  net::Task<void> CommitAndApply(std::shared_ptr<const PreparedCommit> commit,
                                 net::Promise<absl::StatusOr<uint64_t>> promise);
  void Apply(const Committed& committed, Tip tip);
  void Tell(std::vector<FeedChange> changes);
  // Where the coroutines that follow find this; null when it is gone.
  using Self = std::shared_ptr<Configuration*>;
  static net::Task<absl::Status> Follow(Self self);
  void ApplyFollowed(Followed followed);
  void Reload(const Followed& followed);
  void NoteFollowed(const absl::Status& status);
  static net::Task<void> EraseLoop(Self self);
  net::Task<bool> EraseOne(base::AccountId account);
  // Accounts whose mail another replica has erased.
  net::Task<void> ForgetErased();
  void Forget(base::AccountId account);

  net::Loop& loop_;
  SecretBox box_;
  Kinds kinds_;
  Model model_;
  Feed feed_;
  Tip tip_;
  Self self_ = std::make_shared<Configuration*>(this);
  bool database_away_ = false;
  int64_t followed_ms_ = 0;
  AccountLifecycle* lifecycle_ = nullptr;
  SessionEnder* ender_ = nullptr;
  std::vector<base::AccountId> to_erase_;
  net::Signal erase_;
  size_t hash_threads_ = 1;
  std::chrono::milliseconds erase_retry_;
  std::shared_ptr<sql::Database> database_;
  std::unique_ptr<ObjectStore> writer_;
  std::unique_ptr<ObjectStore> reader_;
  std::unique_ptr<ObjectStore> follower_;
  // Last: their threads use what stands above.
  std::unique_ptr<net::BlockingPool> write_pool_;
  std::unique_ptr<net::BlockingPool> read_pool_;
  std::unique_ptr<net::BlockingPool> hash_pool_;
  std::unique_ptr<net::BlockingPool> follow_pool_;
  std::unique_ptr<Rounds> rounds_;
};

// What watchers are told of a commit: `before` is the model without it.
std::vector<FeedChange> DescribeChanges(const Model& before, const Committed& committed);

}  // namespace posthorn::store_service
