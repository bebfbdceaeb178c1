#include "store-service/objects/key_check.h"

#include "lib/base/strings.h"

namespace posthorn::store_service {

absl::StatusOr<bool> HasKey(sql::Connection& db) {
  ASSIGN_OR_RETURN(const int64_t rows, db.Integer("SELECT count(*) FROM key_check"));
  return rows != 0;
}

absl::Status CheckKey(sql::Connection& db, std::string_view digest) {
  ASSIGN_OR_RETURN(const bool has, HasKey(db));
  if (!has) {
    const absl::Status made =
        db.Run("INSERT INTO key_check(one,digest) VALUES(1,?1)", sql::Bytes(digest));
    // Another replica may have been faster.
    if (!absl::IsAlreadyExists(made)) return made;
  }
  ASSIGN_OR_RETURN(const int64_t same, db.Integer("SELECT count(*) FROM key_check WHERE digest=?1",
                                                  sql::Bytes(digest)));
  if (same == 1) return absl::OkStatus();
  return base::Precondition(
      "this database belongs to another key: all stores need the same key file (--key-file)");
}

}  // namespace posthorn::store_service
