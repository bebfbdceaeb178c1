#include "lib/file/faults.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::file {

class Faults::FaultyFile final : public File, private Wrapper {
 public:
  FaultyFile(Faults& faults, std::unique_ptr<File> below)
      : faults_(faults), below_(std::move(below)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    if (faults_.reads_fail_) return base::Unavailable("read: input/output error (injected)");
    return below_->ReadAt(offset, out);
  }
  using File::WriteAt;
  absl::Status WriteAt(uint64_t offset, std::span<const std::string_view> pieces) override {
    RETURN_IF_ERROR(faults_.Change());
    std::string bytes;
    for (const std::string_view piece : pieces) bytes += piece;
    ASSIGN_OR_RETURN(const uint64_t size, below_->Size());
    const uint64_t end = offset + bytes.size();
    const int64_t growth = end > size ? static_cast<int64_t>(end - size) : 0;
    const int64_t left = faults_.space_.fetch_sub(growth) - growth;
    if (growth > 0 && left < 0) {
      faults_.space_ = 0;
      RETURN_IF_ERROR(below_->WriteAt(offset, std::string_view(bytes).substr(0, bytes.size() / 2)));
      return base::Exhausted("write: the disk is full (injected)");
    }
    return below_->WriteAt(offset, pieces);
  }
  absl::Status Truncate(uint64_t size) override {
    RETURN_IF_ERROR(faults_.Change());
    return below_->Truncate(size);
  }
  absl::StatusOr<uint64_t> Size() override { return below_->Size(); }
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t offset, uint64_t length) override {
    return below_->Map(offset, length);
  }

 protected:
  absl::Status DoSync(std::string_view name) override {
    RETURN_IF_ERROR(faults_.Syncing(name));
    return SyncBelow(*below_, name);
  }

 private:
  Faults& faults_;
  const std::unique_ptr<File> below_;
};

absl::Status Faults::Change() {
  if (--left_ < 0) return base::Unavailable("input/output error (injected)");
  return absl::OkStatus();
}

absl::Status Faults::Syncing(std::string_view name) {
  RETURN_IF_ERROR(Change());
  const std::lock_guard lock(mutex_);
  if (failing_sync_.empty() || failing_sync_ != name) return absl::OkStatus();
  failing_sync_.clear();
  return base::Unavailable("sync: input/output error (injected)");
}

void Faults::FailSync(std::string name) {
  const std::lock_guard lock(mutex_);
  failing_sync_ = std::move(name);
}

void Faults::Clear() {
  left_ = kNever;
  space_ = kNever;
  reads_fail_ = false;
  FailSync("");
}

absl::StatusOr<std::unique_ptr<File>> Faults::Open(const std::string& path, Mode mode) {
  if (mode == Mode::kCreateNew) RETURN_IF_ERROR(Change());
  ASSIGN_OR_RETURN(std::unique_ptr<File> opened, below_.Open(path, mode));
  return std::make_unique<FaultyFile>(*this, std::move(opened));
}
absl::Status Faults::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Change());
  return below_.Rename(from, to);
}
absl::Status Faults::Unlink(const std::string& path) {
  RETURN_IF_ERROR(Change());
  return below_.Unlink(path);
}
absl::Status Faults::MakeDirectory(const std::string& path) { return below_.MakeDirectory(path); }
absl::StatusOr<std::vector<std::string>> Faults::List(const std::string& path) {
  return below_.List(path);
}
absl::StatusOr<uint64_t> Faults::SizeOf(const std::string& path) { return below_.SizeOf(path); }
absl::Status Faults::DoSyncDirectory(const std::string& path, std::string_view name) {
  RETURN_IF_ERROR(Syncing(name));
  return SyncBelow(below_, path, name);
}

}  // namespace posthorn::file
