#pragma once

// Private to sqlite_vfs: one file as SQLite sees it.

#include <sqlite3.h>

#include <memory>
#include <string>

#include "lib/file/file_system.h"

namespace posthorn::file::sqlite_internal {

inline constexpr size_t kMostGathered = size_t{128} * 1024;

enum class Role { kMain, kWal, kJournal };

// What SqliteFile works on. Main databases also have `shadow`, the unix VFS's file of the same
// name: locks and shared memory only, never a byte.
struct Handle {
  std::shared_ptr<File> file;
  FileSystem* system = nullptr;
  Role role = Role::kMain;
  std::string path;
  std::string sync_name;
  std::string directory_sync_name;  // empty: the name is durable already
  sqlite3_file* shadow = nullptr;
  // WAL writes that were not passed on yet: they belong at `gathered_at`.
  std::string gathered;
  sqlite3_int64 gathered_at = 0;
};

struct SqliteFile {
  sqlite3_file base;  // first: SQLite knows only this
  Handle* handle;
};

const sqlite3_io_methods* Methods();
// SQLITE_FULL, SQLITE_OK, or `otherwise`.
int ToSqlite(const absl::Status& status, int otherwise);

}  // namespace posthorn::file::sqlite_internal
