#pragma once

#include <string_view>

#include "absl/status/status.h"

struct sqlite3;

namespace posthorn::sqlite {

// `code` (extended) of `handle` as a status; see connection.h for the table. OK for SQLITE_OK, ROW
// and DONE.
absl::Status ToStatus(sqlite3* handle, int code, std::string_view where);

}  // namespace posthorn::sqlite
