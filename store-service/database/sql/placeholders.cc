#include "store-service/database/sql/placeholders.h"

namespace posthorn::store_service::sql {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Placeholders Translate(std::string_view sql) {
  Placeholders out;
  char quote = 0;
  for (size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    out.sql += c;
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"' || c == '`') {
      quote = c;
    } else if (c == '?') {
      uint32_t number = 0;
      while (i + 1 < sql.size() && IsDigit(sql[i + 1]))
        number = number * 10 + static_cast<uint32_t>(sql[++i] - '0');
      out.order.push_back(number - 1);
    }
  }
  return out;
}

}  // namespace posthorn::store_service::sql
