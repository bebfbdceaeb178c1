#include "lib/file/recorder.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::file {

using Kind = Operation::Kind;

// Order: a change is logged before it is made visible to anyone else by its return, and under the
// recorder's lock together with the change itself, so that two changes of one file stand in the log
// as they happened. A sync does not hold the lock: it notes where the log stood when it began, and
// covers no more than that.
class Recorder::RecordedFile final : public File, private Wrapper {
 public:
  RecordedFile(Recorder& recorder, std::unique_ptr<File> below, uint64_t id)
      : recorder_(recorder), below_(std::move(below)), id_(id) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    return below_->ReadAt(offset, out);
  }
  using File::WriteAt;
  absl::Status WriteAt(uint64_t offset, std::span<const std::string_view> pieces) override {
    Operation operation{.kind = Kind::kWrite, .file = id_, .offset = offset};
    for (const std::string_view piece : pieces) operation.data += piece;
    const std::lock_guard lock(recorder_.mutex_);
    const absl::Status status = below_->WriteAt(offset, pieces);
    // A failed write may have been made in part.
    recorder_.log_.push_back(std::move(operation));
    return status;
  }
  absl::Status Truncate(uint64_t size) override {
    const std::lock_guard lock(recorder_.mutex_);
    RETURN_IF_ERROR(below_->Truncate(size));
    recorder_.log_.push_back({.kind = Kind::kTruncate, .file = id_, .offset = size});
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Size() override { return below_->Size(); }
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t offset, uint64_t length) override {
    return below_->Map(offset, length);
  }

 protected:
  absl::Status DoSync(std::string_view name) override {
    const uint64_t covers = recorder_.Position();
    RETURN_IF_ERROR(SyncBelow(*below_, name));
    recorder_.Add({.kind = Kind::kSync, .file = id_, .name = std::string(name), .covers = covers});
    return absl::OkStatus();
  }

 private:
  Recorder& recorder_;
  const std::unique_ptr<File> below_;
  const uint64_t id_;
};

Recorder::Recorder(FileSystem& below, std::string root) : below_(below), root_(std::move(root)) {}
Recorder::~Recorder() = default;

std::string Recorder::Below(const std::string& path) const {
  if (path == root_) return "";
  return path.starts_with(root_ + "/") ? path.substr(root_.size() + 1) : path;
}

void Recorder::Add(Operation operation) {
  const std::lock_guard lock(mutex_);
  log_.push_back(std::move(operation));
}

uint64_t Recorder::Position() {
  const std::lock_guard lock(mutex_);
  return log_.size();
}

void Recorder::Mark(std::string text) { Add({.kind = Kind::kMark, .data = std::move(text)}); }

std::vector<Operation> Recorder::Log() {
  const std::lock_guard lock(mutex_);
  return log_;
}

absl::StatusOr<std::unique_ptr<File>> Recorder::Open(const std::string& path, Mode mode) {
  const std::lock_guard lock(mutex_);
  const bool existed = below_.SizeOf(path).ok();
  ASSIGN_OR_RETURN(std::unique_ptr<File> opened, below_.Open(path, mode));
  const std::string name = Below(path);
  if (!existed) {
    files_[name] = next_file_++;
    log_.push_back({.kind = Kind::kCreate, .file = files_[name], .path = name});
  }
  const auto known = files_.find(name);
  if (known == files_.end()) return base::Precondition("the recorder's root was not empty");
  return std::make_unique<RecordedFile>(*this, std::move(opened), known->second);
}

absl::Status Recorder::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(below_.Rename(from, to));
  auto node = files_.extract(Below(from));
  files_.erase(Below(to));
  node.key() = Below(to);
  files_.insert(std::move(node));
  log_.push_back({.kind = Kind::kRename, .path = Below(from), .target = Below(to)});
  return absl::OkStatus();
}

absl::Status Recorder::Unlink(const std::string& path) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(below_.Unlink(path));
  files_.erase(Below(path));
  log_.push_back({.kind = Kind::kUnlink, .path = Below(path)});
  return absl::OkStatus();
}

absl::Status Recorder::MakeDirectory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const bool existed = below_.SizeOf(path).ok();
  RETURN_IF_ERROR(below_.MakeDirectory(path));
  if (!existed) log_.push_back({.kind = Kind::kMakeDirectory, .path = Below(path)});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Recorder::List(const std::string& path) {
  return below_.List(path);
}
absl::StatusOr<uint64_t> Recorder::SizeOf(const std::string& path) { return below_.SizeOf(path); }

absl::Status Recorder::DoSyncDirectory(const std::string& path, std::string_view name) {
  const uint64_t covers = Position();
  RETURN_IF_ERROR(SyncBelow(below_, path, name));
  Add({.kind = Kind::kSyncDirectory,
       .path = Below(path),
       .name = std::string(name),
       .covers = covers});
  return absl::OkStatus();
}

}  // namespace posthorn::file
