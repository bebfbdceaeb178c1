#include "lib/file/replay.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::file {
namespace {

using Kind = Operation::Kind;
constexpr uint64_t kSector = 512;

// What the disk surely has of one file, and what the kernel still holds back.
struct Inode {
  std::string bytes;
  std::vector<uint64_t> pending;  // indices of writes and truncations
};

void Put(std::string& bytes, uint64_t offset, std::string_view data) {
  if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size(), '\0');
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

class Disk {
 public:
  Disk(const std::vector<Operation>& log, const PowerLoss& loss)
      : log_(log), loss_(loss), random_(loss.seed) {}

  void Run() {
    const uint64_t count = std::min<uint64_t>(loss_.count, log_.size());
    for (uint64_t i = 0; i < count; ++i) Step(i);
    for (auto& [id, inode] : inodes_) Lose(inode);
    LoseNames();
  }
  absl::Status Write(const std::string& directory);

 private:
  void Step(uint64_t index);
  void Apply(Inode& inode, uint64_t index);
  void ApplyTorn(Inode& inode, uint64_t index);
  void ApplyName(uint64_t index);
  void Lose(Inode& inode);
  void LoseNames();
  bool Coin() { return (random_() & 1) != 0; }

  const std::vector<Operation>& log_;
  const PowerLoss loss_;
  std::mt19937_64 random_;
  std::map<uint64_t, Inode> inodes_;
  std::map<std::string, uint64_t> names_;  // durable ones; 0: a directory
  std::vector<uint64_t> pending_names_;
};

void Disk::Step(uint64_t index) {
  const Operation& operation = log_[index];
  switch (operation.kind) {
    case Kind::kCreate:
      inodes_[operation.file];
      [[fallthrough]];
    case Kind::kRename:
    case Kind::kUnlink:
    case Kind::kMakeDirectory:
      pending_names_.push_back(index);
      return;
    case Kind::kWrite:
    case Kind::kTruncate:
      inodes_[operation.file].pending.push_back(index);
      return;
    case Kind::kSync: {
      Inode& inode = inodes_[operation.file];
      const auto end =
          std::lower_bound(inode.pending.begin(), inode.pending.end(), operation.covers);
      for (auto at = inode.pending.begin(); at != end; ++at) Apply(inode, *at);
      inode.pending.erase(inode.pending.begin(), end);
      return;
    }
    case Kind::kSyncDirectory:
      std::erase_if(pending_names_, [&](uint64_t at) {
        const std::string parent = DirectoryOf(log_[at].path);
        const bool covered =
            at < operation.covers && (parent == "." ? std::string() : parent) == operation.path;
        if (covered) ApplyName(at);
        return covered;
      });
      return;
    case Kind::kMark:
      return;
  }
}

void Disk::Apply(Inode& inode, uint64_t index) {
  const Operation& operation = log_[index];
  if (operation.kind == Kind::kTruncate) {
    inode.bytes.resize(operation.offset, '\0');
  } else {
    Put(inode.bytes, operation.offset, operation.data);
  }
}

// Any sectors of the write; the file may have grown without its bytes.
void Disk::ApplyTorn(Inode& inode, uint64_t index) {
  const Operation& operation = log_[index];
  if (operation.kind == Kind::kTruncate) {
    if (Coin()) Apply(inode, index);
    return;
  }
  const std::string_view data = operation.data;
  const bool grown = Coin();
  for (uint64_t done = 0; done < data.size();) {
    const uint64_t at = operation.offset + done;
    const uint64_t length = std::min<uint64_t>(kSector - at % kSector, data.size() - done);
    if (Coin()) Put(inode.bytes, at, data.substr(done, length));
    done += length;
  }
  const uint64_t end = operation.offset + data.size();
  if (grown && inode.bytes.size() < end) inode.bytes.resize(end, '\0');
}

void Disk::Lose(Inode& inode) {
  if (loss_.unsynced == Unsynced::kDropped) return;
  // In a mixed loss some files lose all, some nothing, some parts.
  const uint64_t fate = loss_.unsynced == Unsynced::kKept ? 1 : random_() % 4;
  for (const uint64_t index : inode.pending) {
    if (fate == 1) Apply(inode, index);
    if (fate >= 2) ApplyTorn(inode, index);
  }
}

void Disk::ApplyName(uint64_t index) {
  const Operation& operation = log_[index];
  if (operation.kind == Kind::kCreate) names_[operation.path] = operation.file;
  if (operation.kind == Kind::kMakeDirectory) names_[operation.path] = 0;
  if (operation.kind == Kind::kUnlink) names_.erase(operation.path);
  if (operation.kind != Kind::kRename) return;
  const auto from = names_.find(operation.path);
  if (from == names_.end()) return;
  names_[operation.target] = from->second;
  names_.erase(operation.path);
}

// Names of one directory reach the disk in order, but not necessarily all of them. A rename needs
// the name it renames, so what was created and renamed without a sync comes or goes together.
void Disk::LoseNames() {
  if (loss_.unsynced == Unsynced::kDropped) return;
  std::map<std::string, uint64_t> keep;  // by directory: how many of its operations are kept
  for (const uint64_t index : pending_names_) ++keep[DirectoryOf(log_[index].path)];
  if (loss_.unsynced == Unsynced::kMixed) {
    for (auto& [directory, count] : keep) count = random_() % (count + 1);
  }
  for (const uint64_t index : pending_names_) {
    uint64_t& left = keep[DirectoryOf(log_[index].path)];
    if (left == 0) continue;
    --left;
    ApplyName(index);
  }
}

absl::Status Disk::Write(const std::string& directory) {
  FileSystem& real = Real();
  // Ordered by name, so a directory comes before what is in it.
  std::set<std::string> directories = {"."};
  for (const auto& [name, id] : names_) {
    if (!directories.contains(DirectoryOf(name))) continue;  // its directory was lost
    const std::string path = base::StrCat(directory, "/", name);
    if (id == 0) {
      RETURN_IF_ERROR(real.MakeDirectory(path));
      directories.insert(name);
      continue;
    }
    ASSIGN_OR_RETURN(const std::unique_ptr<File> out, real.Open(path, Mode::kCreateNew));
    RETURN_IF_ERROR(out->WriteAt(0, inodes_[id].bytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Materialise(const std::vector<Operation>& log, const PowerLoss& loss,
                         const std::string& directory) {
  Disk disk(log, loss);
  disk.Run();
  return disk.Write(directory);
}

std::vector<std::string> MarksBefore(const std::vector<Operation>& log, uint64_t count) {
  std::vector<std::string> marks;
  for (uint64_t i = 0; i < std::min<uint64_t>(count, log.size()); ++i) {
    if (log[i].kind == Kind::kMark) marks.push_back(log[i].data);
  }
  return marks;
}

std::set<std::string> SyncNames(const std::vector<Operation>& log) {
  std::set<std::string> names;
  for (const Operation& operation : log) {
    if (!operation.name.empty()) names.insert(operation.name);
  }
  return names;
}

}  // namespace posthorn::file
