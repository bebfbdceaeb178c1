#pragma once

// Statements of many rows as one text: any number of rows needs no statement of its own, and they
// travel with others in one message.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "lib/base/strings.h"
#include "store-service/database/mysql/script.h"

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
  struct Shape {
    std::string_view head;
    std::string_view tail = "";
    std::string_view separator = ",";
  };
  // The texts outlive this. `changed`: as in Script::Add, for all rows together.
  ManyRows(Script& script, Shape shape, int64_t* changed = nullptr)
      : script_(&script), shape_(shape), changed_(changed) {}
  ManyRows(const ManyRows&) = delete;
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

 private:
  void Begin();
  absl::Status SendWhenLarge();

  Script* script_;
  const Shape shape_;
  int64_t* changed_;
  std::string text_;
};

}  // namespace posthorn::mysql
