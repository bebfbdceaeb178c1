#include "lib/file/sqlite_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/base/strings.h"
#include "lib/file/sqlite_file.h"

namespace posthorn::file {
namespace {

using sqlite_internal::Handle;
using sqlite_internal::Role;
using sqlite_internal::SqliteFile;

struct Vfs {
  sqlite3_vfs base{};
  sqlite3_vfs* own = nullptr;  // SQLite's
  FileSystem* system = nullptr;
  std::string name;
  std::string sync_prefix;
  std::mutex mutex;
  // One File for all connections to a database: closing any descriptor of a file drops the
  // process's POSIX locks on it, which the unix VFS holds.
  std::map<std::string, std::weak_ptr<File>> mains;
};

Vfs& Of(sqlite3_vfs* vfs) { return *static_cast<Vfs*>(vfs->pAppData); }

absl::StatusOr<std::shared_ptr<File>> OpenShared(Vfs& vfs, const std::string& path, Mode mode,
                                                 Role role) {
  if (role != Role::kMain) {
    auto opened = vfs.system->Open(path, mode);
    if (!opened.ok()) return opened.status();
    return std::shared_ptr<File>(*std::move(opened));
  }
  const std::lock_guard lock(vfs.mutex);
  std::weak_ptr<File>& known = vfs.mains[path];
  if (std::shared_ptr<File> file = known.lock()) return file;
  auto opened = vfs.system->Open(path, mode);
  if (!opened.ok()) return opened.status();
  std::shared_ptr<File> file = *std::move(opened);
  known = file;
  return file;
}

// The unix VFS's file of the same name, for locks and shared memory.
int OpenShadow(Vfs& vfs, const char* name, int flags, Handle& handle) {
  handle.shadow = static_cast<sqlite3_file*>(sqlite3_malloc(vfs.own->szOsFile));
  if (handle.shadow == nullptr) return SQLITE_NOMEM;
  std::memset(handle.shadow, 0, static_cast<size_t>(vfs.own->szOsFile));
  const int opened = vfs.own->xOpen(vfs.own, name, handle.shadow, flags, nullptr);
  if (opened == SQLITE_OK) return SQLITE_OK;
  sqlite3_free(handle.shadow);
  handle.shadow = nullptr;
  return opened;
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kMain:
      return ".main";
    case Role::kWal:
      return ".wal";
    case Role::kJournal:
      return ".journal";
  }
  return "";
}

int Open(sqlite3_vfs* self, const char* name, sqlite3_file* out, int flags, int* out_flags) {
  Vfs& vfs = Of(self);
  constexpr int kOurs =
      SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL | SQLITE_OPEN_SUPER_JOURNAL;
  // Temporary files need neither durability nor a recorder.
  if (name == nullptr || (flags & kOurs) == 0) {
    return vfs.own->xOpen(vfs.own, name, out, flags, out_flags);
  }
  out->pMethods = nullptr;
  auto handle = std::make_unique<Handle>();
  handle->role = (flags & SQLITE_OPEN_MAIN_DB) != 0 ? Role::kMain
                 : (flags & SQLITE_OPEN_WAL) != 0   ? Role::kWal
                                                    : Role::kJournal;
  handle->path = name;
  handle->system = vfs.system;
  handle->sync_name = base::StrCat(vfs.sync_prefix, RoleName(handle->role));
  const bool writable = (flags & SQLITE_OPEN_READWRITE) != 0;
  const bool create = (flags & SQLITE_OPEN_CREATE) != 0;
  if (create && !vfs.system->SizeOf(handle->path).ok()) {
    handle->directory_sync_name = vfs.sync_prefix + ".dir";
  }
  const Mode mode = create ? Mode::kCreate : (writable ? Mode::kReadWrite : Mode::kRead);
  auto opened = OpenShared(vfs, handle->path, mode, handle->role);
  if (!opened.ok()) return sqlite_internal::ToSqlite(opened.status(), SQLITE_CANTOPEN);
  handle->file = *std::move(opened);
  if (handle->role == Role::kMain) {
    const int shadowed = OpenShadow(vfs, name, flags, *handle);
    if (shadowed != SQLITE_OK) return shadowed;
  }
  auto* file = reinterpret_cast<SqliteFile*>(out);
  file->handle = handle.release();
  file->base.pMethods = sqlite_internal::Methods();
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* self, const char* name, int sync_directory) {
  Vfs& vfs = Of(self);
  const absl::Status unlinked = vfs.system->Unlink(name);
  if (unlinked.code() == absl::StatusCode::kNotFound) return SQLITE_IOERR_DELETE_NOENT;
  if (!unlinked.ok()) return SQLITE_IOERR_DELETE;
  if (sync_directory == 0) return SQLITE_OK;
  return sqlite_internal::ToSqlite(
      vfs.system->SyncDirectory(DirectoryOf(name), vfs.sync_prefix + ".dir"),
      SQLITE_IOERR_DIR_FSYNC);
}

int Access(sqlite3_vfs* self, const char* name, int flags, int* answer) {
  Vfs& vfs = Of(self);
  if (flags != SQLITE_ACCESS_EXISTS) return vfs.own->xAccess(vfs.own, name, flags, answer);
  const absl::StatusOr<uint64_t> size = vfs.system->SizeOf(name);
  *answer = size.ok() && *size > 0 ? 1 : 0;  // an empty journal is none, as in SQLite's own VFS
  return SQLITE_OK;
}

std::mutex registry_mutex;
std::map<std::string, std::unique_ptr<Vfs>>& Registry() {
  static auto* const kRegistry = new std::map<std::string, std::unique_ptr<Vfs>>;
  return *kRegistry;
}

}  // namespace

absl::Status RegisterSqliteVfs(FileSystem& system, const std::string& name,
                               const std::string& sync_prefix) {
  const std::lock_guard lock(registry_mutex);
  if (sqlite3_vfs_find(name.c_str()) != nullptr) return base::Exists(name);
  auto vfs = std::make_unique<Vfs>();
  vfs->own = sqlite3_vfs_find("unix");
  if (vfs->own == nullptr) return base::Internal("SQLite has no unix VFS");
  vfs->system = &system;
  vfs->name = name;
  vfs->sync_prefix = sync_prefix;
  // Everything that is no file operation stays SQLite's own: its functions ignore which VFS they
  // get, but for the two that look for its private data, which we pass on by keeping version 1.
  vfs->base = *vfs->own;
  vfs->base.iVersion = 1;
  vfs->base.szOsFile = std::max(vfs->own->szOsFile, static_cast<int>(sizeof(SqliteFile)));
  vfs->base.pNext = nullptr;
  vfs->base.zName = vfs->name.c_str();
  vfs->base.pAppData = vfs.get();
  vfs->base.xOpen = Open;
  vfs->base.xDelete = Delete;
  vfs->base.xAccess = Access;
  if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK)
    return base::Internal("sqlite3_vfs_register");
  Registry()[name] = std::move(vfs);
  return absl::OkStatus();
}

void UnregisterSqliteVfs(const std::string& name) {
  const std::lock_guard lock(registry_mutex);
  const auto at = Registry().find(name);
  if (at == Registry().end()) return;
  sqlite3_vfs_unregister(&at->second->base);
  Registry().erase(at);
}

}  // namespace posthorn::file
