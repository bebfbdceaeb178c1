#include "store-service/database/mysql/many_rows.h"

#include "lib/base/status_macros.h"

namespace posthorn::mysql {
namespace {

// Well below the least max_allowed_packet (durability.cc), even when a last row of 8 MiB is added.
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

void ManyRows::Begin() {
  text_ += text_.empty() ? head_ : separator_;
  ++added_;
}

absl::Status ManyRows::SendWhenLarge() {
  return text_.size() < kLarge ? absl::OkStatus() : Finish();
}

absl::Status ManyRows::Finish() {
  if (text_.empty()) return absl::OkStatus();
  text_ += tail_;
  const absl::Status status = connection_->Execute(text_);
  text_.clear();
  RETURN_IF_ERROR(status);
  changed_ += connection_->changes();
  return absl::OkStatus();
}

}  // namespace posthorn::mysql
