#include "store-service/database/mysql/script.h"

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::mysql {
namespace {

// Well below the least max_allowed_packet (durability.cc), even when a last row of 8 MiB is added.
constexpr size_t kLarge = size_t{512} << 10;

}  // namespace

absl::Status Script::Add(std::string_view statement, int64_t* changed) {
  base::StrAppend(text_, statements_ == 0 ? "" : ";", statement);
  ++statements_;
  if (changed != nullptr) {
    base::StrAppend(text_, ";SET @r", told_ + wanted_.size(), "=ROW_COUNT()");
    ++statements_;
    wanted_.push_back({changed, true});
  }
  return text_.size() < kLarge ? absl::OkStatus() : Run();
}

absl::Status Script::AddValue(std::string_view expression, int64_t* value) {
  base::StrAppend(text_, statements_ == 0 ? "" : ";", "SET @r", told_ + wanted_.size(), "=",
                  expression);
  ++statements_;
  wanted_.push_back({value, false});
  return absl::OkStatus();
}

absl::Status Script::Run() {
  if (statements_ == 0) return absl::OkStatus();
  for (size_t i = 0; i < wanted_.size(); ++i) {
    base::StrAppend(text_, i == 0 ? ";SELECT @r" : ",@r", told_ + i);
  }
  const int statements = std::exchange(statements_, 0) + (wanted_.empty() ? 0 : 1);
  const std::vector<Wanted> wanted = std::exchange(wanted_, {});
  const std::string text = std::exchange(text_, {});
  ASSIGN_OR_RETURN(const std::vector<int64_t> values, connection_->RunScript(text, statements));
  if (values.size() != wanted.size()) return base::Internal("database: a script's end is missing");
  told_ += wanted.size();
  for (size_t i = 0; i < values.size(); ++i) {
    *wanted[i].target = values[i] + (wanted[i].adds ? *wanted[i].target : 0);
  }
  return absl::OkStatus();
}

std::string Script::Recall(int index) { return base::StrCat("SELECT coalesce(@r", index, ",0)"); }

}  // namespace posthorn::mysql
