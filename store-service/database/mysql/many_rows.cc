#include "store-service/database/mysql/many_rows.h"

#include "lib/base/status_macros.h"

namespace posthorn::mysql {
namespace {

constexpr size_t kLarge = size_t{512} << 10;

}  // namespace

void AppendLiteral(std::string& out, std::string_view bytes) {
  // The parser walks over whole UTF-8 characters; those never contain an ASCII byte, so a quote or
  // backslash is one wherever it stands.
  out += "_binary'";
  for (;;) {
    const size_t special = bytes.find_first_of(std::string_view("'\\\0", 3));
    out += bytes.substr(0, special);
    if (special == std::string_view::npos) break;
    out += '\\';
    out += bytes[special] == '\0' ? '0' : bytes[special];
    bytes.remove_prefix(special + 1);
  }
  out += '\'';
}

void ManyRows::Begin() { text_ += text_.empty() ? shape_.head : shape_.separator; }

absl::Status ManyRows::SendWhenLarge() {
  return text_.size() < kLarge ? absl::OkStatus() : Finish();
}

absl::Status ManyRows::Finish() {
  if (text_.empty()) return absl::OkStatus();
  text_ += shape_.tail;
  const absl::Status status = script_->Add(text_, changed_);
  text_.clear();
  return status;
}

}  // namespace posthorn::mysql
