#include "store-service/blob/segment_table.h"

#include "lib/base/crc32c.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kTitle = "posthorn segments 1\n";
absl::Status Damaged() { return base::DataLoss("the segment table is damaged"); }

bool ParseLine(std::string_view line, SegmentTable& table) {
  const std::vector<std::string_view> words = base::Split(line, ' ');
  if (words.size() == 2 && words[0] == "next") {
    const auto next = base::ParseInt<uint64_t>(words[1]);
    table.next = next.value_or(0);
    return next.has_value();
  }
  if (words.size() != 8 || words[0] != "segment") return false;
  const auto number = base::ParseInt<uint64_t>(words[1]);
  const auto generation = base::ParseInt<uint32_t>(words[3]);
  const auto sealed = base::ParseInt<uint64_t>(words[5]);
  const auto doubtful = base::ParseInt<uint64_t>(words[7]);
  if (!number || !generation || !sealed || !doubtful) return false;
  table.segments[*number] = {*generation, *sealed, *doubtful};
  return true;
}

}  // namespace

std::string EncodeTable(const SegmentTable& table) {
  std::string text(kTitle);
  base::StrAppend(text, "next ", table.next, "\n");
  for (const auto& [number, entry] : table.segments) {
    base::StrAppend(text, "segment ", number, " generation ", entry.generation, " sealed ",
                    entry.sealed, " doubtful ", entry.doubtful, "\n");
  }
  base::StrAppend(text, "checksum ", base::Crc32c(text), "\n");
  return text;
}

absl::StatusOr<SegmentTable> ParseTable(std::string_view text) {
  const size_t last = text.rfind("checksum ");
  if (!text.starts_with(kTitle) || last == std::string_view::npos) return Damaged();
  const std::string_view sum = base::Trim(text.substr(last + 9));
  if (base::ParseInt<uint32_t>(sum) != base::Crc32c(text.substr(0, last))) return Damaged();
  SegmentTable table;
  for (const std::string_view line :
       base::Split(text.substr(kTitle.size(), last - kTitle.size()), '\n')) {
    if (!line.empty() && !ParseLine(line, table)) return Damaged();
  }
  return table;
}

std::string SegmentName(uint64_t number, uint32_t generation) {
  std::string digits = base::StrCat(number);
  if (digits.size() < 10) digits.insert(0, 10 - digits.size(), '0');
  if (generation > 0) base::StrAppend(digits, ".g", generation);
  return digits + ".seg";
}

bool ParseSegmentName(std::string_view name, uint64_t& number, uint32_t& generation) {
  const std::vector<std::string_view> parts = base::Split(name, '.');
  if (parts.size() < 2 || parts.size() > 3 || parts.back() != "seg") return false;
  const auto first = base::ParseInt<uint64_t>(parts[0]);
  if (!first) return false;
  number = *first;
  generation = 0;
  if (parts.size() == 2) return true;
  if (!parts[1].starts_with('g')) return false;
  const auto times = base::ParseInt<uint32_t>(parts[1].substr(1));
  generation = times.value_or(0);
  return times.has_value() && *times > 0;
}

}  // namespace posthorn::store_service
