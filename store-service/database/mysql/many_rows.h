#pragma once

// Statements of many rows as one text. Measured: the text of 64 rows costs client and server less
// than binding and sending each value, and any number of rows needs no statement of its own.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/connection.h"

namespace posthorn::mysql {

// Literals that are right in every session this folder makes (utf8mb4, backslash escapes).
template <std::integral T>
void AppendLiteral(std::string& out, T value) {
  base::StrAppend(out, value);
}
void AppendLiteral(std::string& out, std::string_view bytes);

// HEAD row, row, … TAIL, sent whenever it has grown to some hundred KiB and by Finish().
// `separator` stands between rows.
class ManyRows {
 public:
  // The texts outlive this.
  ManyRows(Connection& connection, std::string_view head, std::string_view tail = "",
           std::string_view separator = ",")
      : connection_(&connection), head_(head), tail_(tail), separator_(separator) {}
  // "(a,b,…)"
  template <class... Values>
  absl::Status Add(const Values&... values) {
    Begin();
    char before = '(';
    ((text_ += before, AppendLiteral(text_, values), before = ','), ...);
    text_ += ')';
    return SendWhenLarge();
  }
  // A row as it stands.
  absl::Status AddText(std::string_view row) {
    Begin();
    text_ += row;
    return SendWhenLarge();
  }
  absl::Status Finish();
  // Rows added, and changed according to the server, so far.
  int64_t added() const { return added_; }
  int64_t changed() const { return changed_; }

 private:
  void Begin();
  absl::Status SendWhenLarge();

  Connection* connection_;
  std::string_view head_;
  std::string_view tail_;
  std::string_view separator_;
  std::string text_;
  int64_t added_ = 0;
  int64_t changed_ = 0;
};

}  // namespace posthorn::mysql
