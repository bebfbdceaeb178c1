#pragma once

// Which table of a SQLite installation becomes which table of the MySQL database, column by column.
// Generated columns are left out: the database makes them.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::store_service {

// A file under --data.
enum class MoveFile { kMail, kDirectory, kQueue, kSegments };

// What the tables' rows are told apart by first, so that they can be copied in parts.
enum class MoveLead {
  kAccount,  // the column `account`
  kBlob,     // the column `blob_key`
  kNone,     // small: copied as a whole
};

struct MoveColumn {
  enum class Type { kSigned, kUnsigned, kBytes, kBytesOrNull };
  std::string name;
  Type type = Type::kSigned;
  // What is read in its place; empty: the column.
  std::string instead;
};

struct MoveTable {
  MoveFile file;
  std::string source;
  std::string target;
  MoveLead lead;
  std::vector<MoveColumn> columns;

  std::string_view LeadColumn() const { return lead == MoveLead::kBlob ? "blob_key" : "account"; }
};

const std::vector<MoveTable>& MoveTables();
// The table that a row of the mail engine belongs to, by its name in SQLite.
const MoveTable& MoveTableOfMail(std::string_view source);
// Tables of SQLite that stay behind, with reason in the .cc file.
std::span<const std::string_view> TablesLeftBehind();

}  // namespace posthorn::store_service
