#pragma once

// SQLite over a FileSystem. Database, journals and WAL go through it; locks and the shared-memory
// index (-shm, rebuilt after every crash) stay with SQLite's own unix VFS, so that other processes
// and the sqlite3 shell may still look at a live database.
//
// Each WAL frame is two small writes. They are gathered, as long as they follow each other, until
// SQLite syncs, and written at once (at most 128 KiB). That is only right with synchronous=FULL,
// where every commit syncs the WAL before it is visible to anyone.
//
// Sync names: "PREFIX.main", "PREFIX.wal", "PREFIX.journal" and "PREFIX.dir" (a new file's name).

#include <string>

#include "absl/status/status.h"
#include "lib/file/file_system.h"

namespace posthorn::file {

// Registers a VFS called `name` for the rest of the process; `system` too must live so long. Any
// thread; before the first use. kAlreadyExists when the name is taken.
absl::Status RegisterSqliteVfs(FileSystem& system, const std::string& name = "posthorn",
                               const std::string& sync_prefix = "sqlite");
// Takes a VFS away again (tests); no database may be open through it.
void UnregisterSqliteVfs(const std::string& name);

}  // namespace posthorn::file
