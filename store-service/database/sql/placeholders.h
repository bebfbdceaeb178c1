#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::store_service::sql {

// MySQL has only nameless question marks.
struct Placeholders {
  std::string sql;
  std::vector<uint32_t> order;  // for each question mark the index (from 0) of its argument
};
// `sql` with ?1, ?2 … outside of quotes; pure.
Placeholders Translate(std::string_view sql);

}  // namespace posthorn::store_service::sql
