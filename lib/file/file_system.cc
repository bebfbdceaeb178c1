#include "lib/file/file_system.h"

#include <cstdlib>
#include <mutex>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::file {
namespace {

#if defined(POSTHORN_TEST_HOOKS)
std::mutex skip_mutex;
std::string& SkippedName() {
  static std::string name = [] {
    const char* wanted = std::getenv("POSTHORN_TEST_SKIP_SYNC");
    return std::string(wanted == nullptr ? "" : wanted);
  }();
  return name;
}
bool Skipped(std::string_view name) {
  const std::lock_guard lock(skip_mutex);
  return !SkippedName().empty() && SkippedName() == name;
}
#else
constexpr bool Skipped(std::string_view) { return false; }
#endif

}  // namespace

#if defined(POSTHORN_TEST_HOOKS)
void SkipSyncForTest(std::string_view name) {
  const std::lock_guard lock(skip_mutex);
  SkippedName() = name;
}
bool HasTestHooks() { return true; }
#else
void SkipSyncForTest(std::string_view) {}
bool HasTestHooks() { return false; }
#endif

absl::Status File::Sync(std::string_view name) {
  if (Skipped(name)) return absl::OkStatus();
  return DoSync(name);
}

absl::Status FileSystem::SyncDirectory(const std::string& path, std::string_view name) {
  if (Skipped(name)) return absl::OkStatus();
  return DoSyncDirectory(path, name);
}

absl::StatusOr<std::string> ReadWhole(FileSystem& system, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> opened, system.Open(path, Mode::kRead));
  ASSIGN_OR_RETURN(const uint64_t size, opened->Size());
  std::string bytes(size, '\0');
  ASSIGN_OR_RETURN(const size_t got, opened->ReadAt(0, bytes));
  bytes.resize(got);
  return bytes;
}

absl::Status ReplaceAtomically(FileSystem& system, const std::string& path, std::string_view bytes,
                               std::string_view name) {
  const std::string fresh = path + ".new";
  ASSIGN_OR_RETURN(const std::unique_ptr<File> out, system.Open(fresh, Mode::kCreate));
  RETURN_IF_ERROR(out->Truncate(0));
  RETURN_IF_ERROR(out->WriteAt(0, bytes));
  RETURN_IF_ERROR(out->Sync(base::StrCat(name, ".file")));
  RETURN_IF_ERROR(system.Rename(fresh, path));
  return system.SyncDirectory(DirectoryOf(path), base::StrCat(name, ".dir"));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace posthorn::file
