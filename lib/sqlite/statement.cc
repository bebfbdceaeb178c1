#include "lib/sqlite/statement.h"

#include <sqlite3.h>

#include "lib/sqlite/connection.h"
#include "lib/sqlite/error.h"

namespace posthorn::sqlite {

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::Bind(int index, std::nullptr_t) { sqlite3_bind_null(handle_, index); }

void Statement::Bind(int index, std::string_view text) {
  // An empty view may have a null pointer, which SQLite would take for NULL.
  sqlite3_bind_text64(handle_, index, text.data() != nullptr ? text.data() : "", text.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}

void Statement::Bind(int index, Bytes bytes) {
  const char* data = bytes.data.data() != nullptr ? bytes.data.data() : "";
  sqlite3_bind_blob64(handle_, index, data, bytes.data.size(), SQLITE_STATIC);
}

void Statement::BindCopy(int index, std::string_view text) {
  sqlite3_bind_text64(handle_, index, text.data() != nullptr ? text.data() : "", text.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Statement::BindCopy(int index, Bytes bytes) {
  const char* data = bytes.data.data() != nullptr ? bytes.data.data() : "";
  sqlite3_bind_blob64(handle_, index, data, bytes.data.size(), SQLITE_TRANSIENT);
}

void Statement::Bind(int index, double value) { sqlite3_bind_double(handle_, index, value); }

void Statement::BindInteger(int index, int64_t value) { sqlite3_bind_int64(handle_, index, value); }

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ToStatus(sqlite3_db_handle(handle_), code, sqlite3_sql(handle_));
}

void Statement::Reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(handle_, column); }
double Statement::Real(int column) const { return sqlite3_column_double(handle_, column); }
bool Statement::IsNull(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

std::string_view Statement::Text(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  return {data, static_cast<size_t>(sqlite3_column_bytes(handle_, column))};
}

Cursor::~Cursor() {
  if (connection_ == nullptr || !statement_.ok()) return;
  statement_->Reset();
  connection_->GiveBack(*std::move(statement_));
}

}  // namespace posthorn::sqlite
