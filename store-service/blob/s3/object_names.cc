#include "store-service/blob/s3/object_names.h"

#include <vector>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

std::string Digits(uint64_t number, size_t width) {
  std::string digits = base::StrCat(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}
std::string Segment(uint64_t number) { return Digits(number, 8); }
std::string Index(uint32_t index) { return Digits(index, 6); }

}  // namespace

std::string SegmentObject(uint64_t segment) { return base::StrCat("s/", Segment(segment)); }
std::string ObjectsOf(uint64_t segment) { return base::StrCat("o/", Segment(segment), "/"); }
std::string PacksOf(uint64_t segment) { return base::StrCat("p/", Segment(segment), "/"); }

std::optional<uint64_t> ParseSegmentObject(std::string_view name) {
  if (!name.starts_with("s/")) return std::nullopt;
  return base::ParseInt<uint64_t>(name.substr(2));
}

std::string NameOf(const UnitName& unit) {
  if (unit.generation == 0) return ObjectsOf(unit.segment) + Index(unit.first);
  return base::StrCat(PacksOf(unit.segment), Index(unit.first), "-", Index(unit.last), "-",
                      unit.generation, "-", unit.word);
}

std::optional<UnitName> ParseUnitName(std::string_view name) {
  const std::vector<std::string_view> parts = base::Split(name, '/');
  if (parts.size() != 3) return std::nullopt;
  const auto segment = base::ParseInt<uint64_t>(parts[1]);
  const std::vector<std::string_view> words = base::Split(parts[2], '-');
  const auto first = base::ParseInt<uint32_t>(words[0]);
  if (!segment || !first) return std::nullopt;
  UnitName unit{.segment = *segment, .first = *first, .last = *first};
  if (parts[0] == "o" && words.size() == 1) return unit;
  if (parts[0] != "p" || words.size() != 4) return std::nullopt;
  const auto last = base::ParseInt<uint32_t>(words[1]);
  const auto generation = base::ParseInt<uint32_t>(words[2]);
  if (!last || !generation || *generation == 0) return std::nullopt;
  unit.last = *last;
  unit.generation = *generation;
  unit.word = words[3];
  return unit;
}

}  // namespace posthorn::store_service
