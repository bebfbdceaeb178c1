#include "tests/proof/repeat.h"

#include <algorithm>
#include <map>
#include <memory>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::proof {
namespace {

using file::Operation;
using Kind = file::Operation::Kind;

class Repeater {
 public:
  Repeater(file::Recorder& recorder, const std::string& root) : recorder_(recorder), root_(root) {}

  absl::Status Do(const Operation& operation) {
    switch (operation.kind) {
      case Kind::kCreate:
        return Create(operation);
      case Kind::kWrite:
        return files_.at(operation.file)->WriteAt(operation.offset, operation.data);
      case Kind::kTruncate:
        return files_.at(operation.file)->Truncate(operation.offset);
      case Kind::kSync:
        return files_.at(operation.file)->Sync(operation.name);
      case Kind::kRename:
        return recorder_.Rename(Path(operation.path), Path(operation.target));
      case Kind::kUnlink:
        return recorder_.Unlink(Path(operation.path));
      case Kind::kMakeDirectory:
        return recorder_.MakeDirectory(Path(operation.path));
      case Kind::kSyncDirectory:
        return recorder_.SyncDirectory(Path(operation.path), operation.name);
      case Kind::kMark:
        recorder_.Mark(operation.data);
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

 private:
  std::string Path(const std::string& below) const {
    return below.empty() ? root_ : base::StrCat(root_, "/", below);
  }
  absl::Status Create(const Operation& operation) {
    ASSIGN_OR_RETURN(files_[operation.file],
                     recorder_.Open(Path(operation.path), file::Mode::kCreateNew));
    return absl::OkStatus();
  }

  file::Recorder& recorder_;
  const std::string root_;
  std::map<uint64_t, std::unique_ptr<file::File>> files_;
};

}  // namespace

absl::Status Repeat(const std::vector<Operation>& log, uint64_t count, file::Recorder& recorder,
                    const std::string& root) {
  Repeater repeater(recorder, root);
  for (uint64_t i = 0; i < std::min<uint64_t>(count, log.size()); ++i) {
    RETURN_IF_ERROR(repeater.Do(log[i]));
  }
  return absl::OkStatus();
}

}  // namespace posthorn::proof
