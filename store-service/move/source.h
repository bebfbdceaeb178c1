#pragma once

// The SQLite side of a move: rows as SQL values, and what they add up to. One thread; every call
// reads a moment of its own while others write.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/sqlite/connection.h"
#include "store-service/move/tables.h"

namespace posthorn::store_service {

// How many rows, and a sum over them in which their order does not count.
struct MoveSum {
  uint64_t rows = 0;
  uint64_t digest = 0;
  friend bool operator==(const MoveSum&, const MoveSum&) = default;
  MoveSum& operator+=(const MoveSum& other) {
    rows += other.rows;
    digest ^= other.digest;
    return *this;
  }
};

// Numbers of the lead column, both inclusive.
struct MoveRange {
  uint64_t first = 0;
  uint64_t last = INT64_MAX;
};

class MoveSource {
 public:
  struct File {
    MoveFile file;
    std::string path;
    std::string vfs;  // empty: SQLite's own
  };
  // The files of one installation; those it does not have are left out.
  static absl::StatusOr<std::unique_ptr<MoveSource>> Open(const std::vector<File>& files);

  // kFailedPrecondition names a table or column that MoveTables() does not know: a newer program
  // made it.
  absl::Status ExpectKnown();
  bool Has(const MoveTable& table) const { return files_.contains(table.file); }
  // While it lives all that is read of the table's file is of one moment. For small tables:
  // SQLite's log grows meanwhile.
  absl::StatusOr<sqlite::Transaction> OneMoment(const MoveTable& table) {
    return sqlite::Transaction::Begin(*files_.at(table.file), sqlite::Transaction::Kind::kRead);
  }
  // `row` gets each row as "(1,_binary'x',NULL)". `where` is SQL, "1" for all.
  absl::Status Read(const MoveTable& table, std::string_view where,
                    const std::function<absl::Status(std::string_view row)>& row);
  absl::StatusOr<MoveSum> Sum(const MoveTable& table, std::string_view where);
  absl::StatusOr<uint64_t> Count(const MoveTable& table);
  // Parts of tables of one kind, of some ten thousand rows each unless a single account has more;
  // together they hold every number there is or will be.
  absl::StatusOr<std::vector<MoveRange>> Ranges(MoveLead lead);
  // Numbers of `range` that the table has rows of.
  absl::StatusOr<std::vector<uint64_t>> Leads(const MoveTable& table, const MoveRange& range);
  // What tells this installation from others: derived from its key.
  absl::StatusOr<std::string> Installation();

 private:
  MoveSource() = default;
  absl::StatusOr<sqlite::Statement> Select(const MoveTable& table, std::string_view where);

  std::map<MoveFile, std::unique_ptr<sqlite::Connection>> files_;
};

}  // namespace posthorn::store_service
