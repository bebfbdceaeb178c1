// ObjectStore::Commit, step by step.

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "lib/base/strings.h"
#include "store-service/objects/object_store.h"

namespace posthorn::store_service {
namespace {

constexpr std::chrono::seconds kSettle{15};
constexpr std::chrono::milliseconds kSettlePause{100};

}  // namespace

// One commit inside its transaction.
class CommitRun {
 public:
  CommitRun(ObjectStore& store, const PreparedCommit& commit)
      : store_(store), commit_(commit), revision_(commit.expected_head + 1) {}

  absl::StatusOr<Committed> Run() {
    RETURN_IF_ERROR(AdvanceHead(store_.db(), commit_.expected_head));
    RETURN_IF_ERROR(ReadOld());
    for (size_t i = 0; i < commit_.changes.size(); ++i) {
      if (old_[i]) RETURN_IF_ERROR(tables_[i]->ReleaseNames(*old_[i]));
    }
    RETURN_IF_ERROR(Write());
    RETURN_IF_ERROR(CheckRemoved());
    RETURN_IF_ERROR(WriteHistory());
    return Committed{.since = commit_.expected_head,
                     .revision = revision_,
                     .delta = std::move(delta_),
                     .names = {}};
  }

 private:
  KindTable* TableOf(const std::shared_ptr<const KindSchema>& kind) {
    std::unique_ptr<KindTable>& table = by_kind_[kind->name];
    if (table == nullptr) table = store_.MakeTable(kind, delta_);
    return table.get();
  }

  // The rows as they are, and the guards.
  absl::Status ReadOld() {
    std::set<std::pair<std::string, std::string>> seen;
    for (const PreparedChange& change : commit_.changes) {
      const std::string& from = change.renamed_from.empty() ? change.name : change.renamed_from;
      if (!seen.emplace(change.kind->name, from).second) {
        return base::Invalid(base::StrCat("two changes of ", change.kind->name, " ", from));
      }
      tables_.push_back(TableOf(change.kind));
      ASSIGN_OR_RETURN(std::optional<ObjectRow> old, tables_.back()->Find(from));
      RETURN_IF_ERROR(CheckGuard(change, from, old));
      old_.push_back(std::move(old));
    }
    return absl::OkStatus();
  }

  static absl::Status CheckGuard(const PreparedChange& change, std::string_view from,
                                 const std::optional<ObjectRow>& old) {
    const bool must_exist = change.remove || !change.renamed_from.empty();
    if (!old && must_exist)
      return base::NotFound(base::StrCat("no ", change.kind->name, " ", from));
    if (!change.expected_revision) return absl::OkStatus();
    if (old && *change.expected_revision == 0) {
      return base::Exists(base::StrCat(change.kind->name, " ", from, " exists"));
    }
    const uint64_t revision = old ? old->revision : 0;
    if (revision == *change.expected_revision) return absl::OkStatus();
    return base::Aborted(base::StrCat(change.kind->name, " ", from, " has changed"));
  }

  // Removals first, then domains, then the addresses in them. A table whose rows others stand in
  // says so by its kind's place in the directory: rows with ids of their own and no "@" in the
  // name.
  absl::Status Write() {
    ids_.resize(commit_.changes.size());
    for (size_t i = 0; i < commit_.changes.size(); ++i) {
      if (commit_.changes[i].remove) RETURN_IF_ERROR(Remove(i));
    }
    for (const bool address : {false, true}) {
      for (size_t i = 0; i < commit_.changes.size(); ++i) {
        const PreparedChange& change = commit_.changes[i];
        const bool has_at = change.kind->directory && change.name.find('@') != std::string::npos;
        if (!change.remove && has_at == address) RETURN_IF_ERROR(Put(i));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Remove(size_t i) {
    RETURN_IF_ERROR(tables_[i]->Remove(*old_[i], revision_));
    return RemoveCredentials(store_.db(), commit_.changes[i].kind->name, *old_[i]);
  }

  absl::Status Put(size_t i) {
    const PreparedChange& change = commit_.changes[i];
    const ObjectRow* old = old_[i] ? &*old_[i] : nullptr;
    ASSIGN_OR_RETURN(ids_[i], tables_[i]->Put(old, {.name = change.name,
                                                    .data = change.data,
                                                    .revision = revision_,
                                                    .new_password = !change.credentials.empty()}));
    if (old != nullptr) {
      RETURN_IF_ERROR(RenameCredentials(store_.db(), change.kind->name, *old, change.name));
    }
    for (const PreparedChange::NewCredential& fresh : change.credentials) {
      const CredentialOwner owner = OwnerOf(change.kind->name, ids_[i], change.name, fresh.field);
      RETURN_IF_ERROR(PutCredential(store_.db(), owner, fresh.credential));
    }
    return absl::OkStatus();
  }

  absl::Status CheckRemoved() {
    for (size_t i = 0; i < commit_.changes.size(); ++i) {
      if (commit_.changes[i].remove) RETURN_IF_ERROR(tables_[i]->CheckRemoved(*old_[i]));
    }
    return absl::OkStatus();
  }

  absl::Status WriteHistory() {
    RETURN_IF_ERROR(WriteRevision(
        store_.db(),
        {revision_, commit_.time_ms, commit_.author, commit_.reason, {}, commit_.commit_id}));
    int position = 0;
    for (size_t i = 0; i < commit_.changes.size(); ++i) {
      const PreparedChange& change = commit_.changes[i];
      RevisionChange log{change.kind->name, change.name, {}, {}, old_[i] ? old_[i]->id : ids_[i]};
      if (old_[i]) log.before = WithKey(*change.kind, old_[i]->name, old_[i]->data);
      if (!change.remove) log.after = WithKey(*change.kind, change.name, change.data);
      RETURN_IF_ERROR(
          WriteRevisionChange(store_.db(), *store_.box_, revision_, position++, *change.kind, log));
    }
    return absl::OkStatus();
  }

  ObjectStore& store_;
  const PreparedCommit& commit_;
  const uint64_t revision_;
  DirectoryDelta delta_;
  std::map<std::string, std::unique_ptr<KindTable>> by_kind_;
  // One entry a change.
  std::vector<KindTable*> tables_;
  std::vector<std::optional<ObjectRow>> old_;
  std::vector<uint64_t> ids_;
};

absl::StatusOr<Committed> ObjectStore::Commit(const PreparedCommit& commit) {
  Committed committed;
  const auto run = [&] {
    return sql::Transact(*db_, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(committed, CommitRun(*this, commit).Run());
      return absl::OkStatus();
    });
  };
  absl::Status status = run();
  const auto deadline = std::chrono::steady_clock::now() + kSettle;
  // The link broke while it was committed. The guard of a second try waits for the first one on the
  // server, so that its answer is final.
  for (bool unknown = false; absl::IsUnknown(status) || (unknown && absl::IsUnavailable(status));) {
    unknown = true;
    if (std::chrono::steady_clock::now() > deadline)
      return base::Error(absl::StatusCode::kUnknown, "nobody knows whether this was committed");
    std::this_thread::sleep_for(kSettlePause);
    Committed first = committed;
    status = run();
    if (!absl::IsAborted(status)) continue;
    const absl::StatusOr<std::string> there = ReadCommitId(*db_, commit.expected_head + 1);
    if (there.ok() && *there == commit.commit_id) return first;
    if (absl::IsUnavailable(there.status())) {
      status = there.status();
      committed = std::move(first);
    }
  }
  // A transaction that lost against another node of Galera's may meet the winner's rows before it
  // hears that it has lost.
  if (absl::IsAlreadyExists(status)) {
    ASSIGN_OR_RETURN(const uint64_t head, ReadHead(*db_));
    if (head != commit.expected_head) return MovedOn();
  }
  RETURN_IF_ERROR(status);
  return committed;
}

}  // namespace posthorn::store_service
