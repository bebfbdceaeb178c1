#include "lib/file/sqlite_file.h"

#include <cstring>
#include <utility>

namespace posthorn::file::sqlite_internal {
namespace {

Handle& Of(sqlite3_file* file) { return *reinterpret_cast<SqliteFile*>(file)->handle; }

absl::Status Flush(Handle& handle) {
  if (handle.gathered.empty()) return absl::OkStatus();
  // Kept until written: a failed commit is rolled back by SQLite, which then writes over the same
  // place.
  absl::Status status = handle.file->WriteAt(static_cast<uint64_t>(handle.gathered_at),
                                             std::string_view(handle.gathered));
  handle.gathered.clear();
  return status;
}

int Close(sqlite3_file* file) {
  Handle* handle = &Of(file);
  int result = ToSqlite(Flush(*handle), SQLITE_IOERR_WRITE);
  if (handle->shadow != nullptr) {
    if (handle->shadow->pMethods != nullptr) {
      const int closed = handle->shadow->pMethods->xClose(handle->shadow);
      if (result == SQLITE_OK) result = closed;
    }
    sqlite3_free(handle->shadow);
  }
  delete handle;
  return result;
}

int Read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  Handle& handle = Of(file);
  if (int flushed = ToSqlite(Flush(handle), SQLITE_IOERR_WRITE); flushed != SQLITE_OK) {
    return flushed;
  }
  const auto size = static_cast<size_t>(amount);
  const absl::StatusOr<size_t> got =
      handle.file->ReadAt(static_cast<uint64_t>(offset), {static_cast<char*>(out), size});
  if (!got.ok()) return SQLITE_IOERR_READ;
  if (*got == size) return SQLITE_OK;
  std::memset(static_cast<char*>(out) + *got, 0, size - *got);
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* bytes, int amount, sqlite3_int64 offset) {
  Handle& handle = Of(file);
  const std::string_view piece(static_cast<const char*>(bytes), static_cast<size_t>(amount));
  if (handle.role != Role::kWal) {
    return ToSqlite(handle.file->WriteAt(static_cast<uint64_t>(offset), piece), SQLITE_IOERR_WRITE);
  }
  const auto expected = handle.gathered_at + static_cast<sqlite3_int64>(handle.gathered.size());
  const bool follows = offset == expected && !handle.gathered.empty();
  if (!follows || handle.gathered.size() + piece.size() > kMostGathered) {
    const int flushed = ToSqlite(Flush(handle), SQLITE_IOERR_WRITE);
    if (flushed != SQLITE_OK) return flushed;
  }
  if (handle.gathered.empty()) handle.gathered_at = offset;
  handle.gathered.append(piece);
  return SQLITE_OK;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  Handle& handle = Of(file);
  const int flushed = ToSqlite(Flush(handle), SQLITE_IOERR_WRITE);
  if (flushed != SQLITE_OK) return flushed;
  return ToSqlite(handle.file->Truncate(static_cast<uint64_t>(size)), SQLITE_IOERR_TRUNCATE);
}

int Sync(sqlite3_file* file, int /*flags*/) {
  Handle& handle = Of(file);
  const int flushed = ToSqlite(Flush(handle), SQLITE_IOERR_WRITE);
  if (flushed != SQLITE_OK) return flushed;
  const absl::Status synced = handle.file->Sync(handle.sync_name);
  if (!synced.ok()) return ToSqlite(synced, SQLITE_IOERR_FSYNC);
  if (handle.directory_sync_name.empty()) return SQLITE_OK;
  const absl::Status named =
      handle.system->SyncDirectory(DirectoryOf(handle.path), handle.directory_sync_name);
  if (!named.ok()) return ToSqlite(named, SQLITE_IOERR_DIR_FSYNC);
  handle.directory_sync_name.clear();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  Handle& handle = Of(file);
  const int flushed = ToSqlite(Flush(handle), SQLITE_IOERR_WRITE);
  if (flushed != SQLITE_OK) return flushed;
  const absl::StatusOr<uint64_t> found = handle.file->Size();
  if (!found.ok()) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(*found);
  return SQLITE_OK;
}

int Lock(sqlite3_file* file, int level) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow == nullptr ? SQLITE_OK : shadow->pMethods->xLock(shadow, level);
}
int Unlock(sqlite3_file* file, int level) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow == nullptr ? SQLITE_OK : shadow->pMethods->xUnlock(shadow, level);
}
int CheckReservedLock(sqlite3_file* file, int* reserved) {
  sqlite3_file* shadow = Of(file).shadow;
  *reserved = 0;
  return shadow == nullptr ? SQLITE_OK : shadow->pMethods->xCheckReservedLock(shadow, reserved);
}

int FileControl(sqlite3_file* file, int operation, void* argument) {
  sqlite3_file* shadow = Of(file).shadow;
  switch (operation) {
    case SQLITE_FCNTL_SIZE_HINT:
    case SQLITE_FCNTL_CHUNK_SIZE:
    case SQLITE_FCNTL_MMAP_SIZE:
      return SQLITE_NOTFOUND;  // they would touch the bytes behind the FileSystem's back
    default:
      if (shadow == nullptr) return SQLITE_NOTFOUND;
      return shadow->pMethods->xFileControl(shadow, operation, argument);
  }
}
int SectorSize(sqlite3_file* file) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow == nullptr ? 4096 : shadow->pMethods->xSectorSize(shadow);
}
int DeviceCharacteristics(sqlite3_file* file) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow == nullptr ? SQLITE_IOCAP_POWERSAFE_OVERWRITE
                           : shadow->pMethods->xDeviceCharacteristics(shadow);
}

int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow->pMethods->xShmMap(shadow, page, size, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow->pMethods->xShmLock(shadow, offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) {
  sqlite3_file* shadow = Of(file).shadow;
  shadow->pMethods->xShmBarrier(shadow);
}
int ShmUnmap(sqlite3_file* file, int remove) {
  sqlite3_file* shadow = Of(file).shadow;
  return shadow->pMethods->xShmUnmap(shadow, remove);
}

}  // namespace

int ToSqlite(const absl::Status& status, int otherwise) {
  if (status.ok()) return SQLITE_OK;
  return status.code() == absl::StatusCode::kResourceExhausted ? SQLITE_FULL : otherwise;
}

const sqlite3_io_methods* Methods() {
  // Version 2: shared memory, but no mapping of the database.
  static const sqlite3_io_methods kMethods = {2,
                                              Close,
                                              Read,
                                              Write,
                                              Truncate,
                                              Sync,
                                              FileSize,
                                              Lock,
                                              Unlock,
                                              CheckReservedLock,
                                              FileControl,
                                              SectorSize,
                                              DeviceCharacteristics,
                                              ShmMap,
                                              ShmLock,
                                              ShmBarrier,
                                              ShmUnmap,
                                              nullptr,
                                              nullptr};
  return &kMethods;
}

}  // namespace posthorn::file::sqlite_internal
