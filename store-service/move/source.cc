#include "store-service/move/source.h"

#include <algorithm>
#include <utility>

#include "lib/auth/hmac.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/many_rows.h"

namespace posthorn::store_service {
namespace {

using Type = MoveColumn::Type;

constexpr uint64_t kPart = 20000;

bool IsBytes(const MoveColumn& column) {
  return column.type == Type::kBytes || column.type == Type::kBytesOrNull;
}

void AppendNumber(std::string& out, const MoveColumn& column, const sqlite::Statement& row,
                  int index) {
  if (column.type == Type::kUnsigned) {
    base::StrAppend(out, row.Unsigned(index));
  } else {
    base::StrAppend(out, row.Int(index));
  }
}

std::string Literals(const MoveTable& table, const sqlite::Statement& row) {
  std::string out;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const int index = static_cast<int>(i);
    const MoveColumn& column = table.columns[i];
    out += i == 0 ? '(' : ',';
    if (!IsBytes(column)) {
      AppendNumber(out, column, row, index);
    } else if (column.type == Type::kBytesOrNull && row.IsNull(index)) {
      out += "NULL";
    } else {
      mysql::AppendLiteral(out, row.Text(index));
    }
  }
  return out += ')';
}

// As the target's server makes it (target.cc): values apart by "#", bytes led by their number.
uint64_t DigestOf(const MoveTable& table, const sqlite::Statement& row) {
  std::string text;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const int index = static_cast<int>(i);
    const MoveColumn& column = table.columns[i];
    if (i != 0) text += '#';
    if (!IsBytes(column)) {
      AppendNumber(text, column, row, index);
    } else if (column.type == Type::kBytesOrNull && row.IsNull(index)) {
      text += "-1#";
    } else {
      base::StrAppend(text, row.Text(index).size(), "#", row.Text(index));
    }
  }
  uint64_t digest = 0;
  for (const char c : auth::Sha256(text).substr(0, 8)) {
    digest = digest << 8 | static_cast<unsigned char>(c);
  }
  return digest >> 4;
}

bool Knows(MoveFile file, std::string_view name, std::string_view column) {
  const auto left = TablesLeftBehind();
  if (std::find(left.begin(), left.end(), name) != left.end()) return true;
  for (const MoveTable& table : MoveTables()) {
    if (table.file != file || table.source != name) continue;
    return std::any_of(table.columns.begin(), table.columns.end(),
                       [&](const MoveColumn& c) { return c.name == column; });
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<MoveSource>> MoveSource::Open(const std::vector<File>& files) {
  std::unique_ptr<MoveSource> source(new MoveSource);
  for (const File& file : files) {
    // Nothing is written; SQLite cannot open a log for reading alone after a crash.
    ASSIGN_OR_RETURN(
        source->files_[file.file],
        sqlite::Connection::Open({.path = file.path, .vfs = file.vfs, .auto_checkpoint = 0}));
  }
  return source;
}

absl::Status MoveSource::ExpectKnown() {
  for (const auto& [file, db] : files_) {
    // Generated columns are not among pragma_table_info's.
    sqlite::Cursor cursor = db->Query(
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
        " WHERE m.type='table' AND m.name NOT LIKE 'sqlite_%'");
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, cursor.Next());
      if (!more) break;
      if (Knows(file, cursor.Text(0), cursor.Text(1))) continue;
      return base::Precondition(base::StrCat("this program does not know the column ",
                                             cursor.Text(1), " of the table ", cursor.Text(0),
                                             ": run one that does"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<sqlite::Statement> MoveSource::Select(const MoveTable& table,
                                                     std::string_view where) {
  std::string sql = "SELECT ";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const MoveColumn& column = table.columns[i];
    if (i != 0) sql += ',';
    if (column.instead.empty()) {
      base::StrAppend(sql, "`", column.name, "`");
    } else {
      sql += column.instead;
    }
  }
  base::StrAppend(sql, " FROM `", table.source, "` WHERE ", where);
  return files_.at(table.file)->Prepare(sql);
}

absl::Status MoveSource::Read(const MoveTable& table, std::string_view where,
                              const std::function<absl::Status(std::string_view)>& row) {
  ASSIGN_OR_RETURN(sqlite::Statement rows, Select(table, where));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return absl::OkStatus();
    RETURN_IF_ERROR(row(Literals(table, rows)));
  }
}

absl::StatusOr<MoveSum> MoveSource::Sum(const MoveTable& table, std::string_view where) {
  ASSIGN_OR_RETURN(sqlite::Statement rows, Select(table, where));
  MoveSum sum;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return sum;
    sum += {1, DigestOf(table, rows)};
  }
}

absl::StatusOr<uint64_t> MoveSource::Count(const MoveTable& table) {
  ASSIGN_OR_RETURN(
      const int64_t rows,
      files_.at(table.file)->Integer(base::StrCat("SELECT count(*) FROM `", table.source, "`")));
  return static_cast<uint64_t>(rows);
}

absl::StatusOr<std::vector<MoveRange>> MoveSource::Ranges(MoveLead lead) {
  ASSIGN_OR_RETURN(sqlite::Statement rows,
                   files_.at(MoveFile::kMail)
                       ->Prepare(lead == MoveLead::kAccount
                                     ? "SELECT account, used_count FROM account ORDER BY account"
                                     : "SELECT blob_key, 1 FROM body ORDER BY blob_key"));
  std::vector<MoveRange> ranges = {{}};
  uint64_t here = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return ranges;
    const uint64_t number = rows.Unsigned(0);
    const uint64_t size = rows.Unsigned(1) + 1;
    if (here > 0 && here + size > kPart) {
      ranges.back().last = number - 1;
      ranges.push_back({.first = number});
      here = 0;
    }
    here += size;
  }
}

absl::StatusOr<std::vector<uint64_t>> MoveSource::Leads(const MoveTable& table,
                                                        const MoveRange& range) {
  ASSIGN_OR_RETURN(sqlite::Statement rows,
                   files_.at(table.file)
                       ->Prepare(base::StrCat("SELECT DISTINCT ", table.LeadColumn(), " FROM `",
                                              table.source, "` WHERE ", table.LeadColumn(),
                                              " BETWEEN ", range.first, " AND ", range.last)));
  std::vector<uint64_t> leads;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) return leads;
    leads.push_back(rows.Unsigned(0));
  }
}

absl::StatusOr<std::string> MoveSource::Installation() {
  sqlite::Cursor cursor =
      files_.at(MoveFile::kDirectory)->Query("SELECT digest FROM key_check WHERE one=1");
  ASSIGN_OR_RETURN(const bool row, cursor.Next());
  if (!row) return base::Precondition("the directory does not know its key");
  return base::Hex(auth::Sha256(cursor.Text(0)).substr(0, 16));
}

}  // namespace posthorn::store_service
