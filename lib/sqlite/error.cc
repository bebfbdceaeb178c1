#include "lib/sqlite/error.h"

#include <sqlite3.h>

#include <cerrno>

#include "lib/base/strings.h"

namespace posthorn::sqlite {
namespace {

bool NoSpace(sqlite3* handle) {
  const int error = handle != nullptr ? sqlite3_system_errno(handle) : 0;
  return error == ENOSPC || error == EDQUOT;
}

absl::StatusCode ConstraintCode(int extended) {
  return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
                 extended == SQLITE_CONSTRAINT_ROWID
             ? absl::StatusCode::kAlreadyExists
             : absl::StatusCode::kFailedPrecondition;
}

absl::StatusCode CodeOf(sqlite3* handle, int extended) {
  switch (extended & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_IOERR:
      return NoSpace(handle) ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CONSTRAINT:
      return ConstraintCode(extended);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status ToStatus(sqlite3* handle, int code, std::string_view where) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return absl::OkStatus();
  const char* text = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  return base::Error(CodeOf(handle, code),
                     base::StrCat("sqlite: ", where, ": ", text, " (", code, ")"));
}

}  // namespace posthorn::sqlite
