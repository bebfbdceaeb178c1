#include "lib/config/units.h"

#include <array>
#include <charconv>

#include "lib/base/strings.h"

namespace posthorn::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr std::array<Unit, 5> kDurations = {
    {{"w", 604800}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}};
constexpr std::array<Unit, 13> kSizes = {{{"tib", 1ULL << 40},
                                          {"gib", 1ULL << 30},
                                          {"mib", 1ULL << 20},
                                          {"kib", 1ULL << 10},
                                          {"tb", 1000000000000ULL},
                                          {"gb", 1000000000ULL},
                                          {"mb", 1000000ULL},
                                          {"kb", 1000ULL},
                                          {"t", 1ULL << 40},
                                          {"g", 1ULL << 30},
                                          {"m", 1ULL << 20},
                                          {"k", 1ULL << 10},
                                          {"b", 1}}};

// Reads digits at the front of `text` and takes them away.
std::optional<uint64_t> TakeNumber(std::string_view& text) {
  uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc()) return {};
  text.remove_prefix(static_cast<size_t>(end.ptr - text.data()));
  return value;
}

std::optional<uint64_t> Times(uint64_t value, uint64_t factor) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(value, factor, &product)) return {};
  return product;
}

}  // namespace

std::optional<uint64_t> ParseDuration(std::string_view text) {
  text = base::Trim(text);
  uint64_t total = 0;
  if (text.empty()) return {};
  while (!text.empty()) {
    const std::optional<uint64_t> number = TakeNumber(text);
    if (!number) return {};
    text = base::Trim(text);
    uint64_t factor = 1;
    for (const Unit& unit : kDurations) {
      if (!text.empty() && base::ToLower(text.front()) == unit.name.front()) factor = unit.factor;
    }
    if (!text.empty() &&
        std::string_view("wdhms").find(base::ToLower(text.front())) == std::string_view::npos)
      return {};
    if (!text.empty()) text = base::Trim(text.substr(1));
    const std::optional<uint64_t> part = Times(*number, factor);
    if (!part || __builtin_add_overflow(total, *part, &total)) return {};
  }
  return total;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  text = base::Trim(text);
  const std::optional<uint64_t> number = TakeNumber(text);
  if (!number) return {};
  text = base::Trim(text);
  if (text.empty()) return number;
  for (const Unit& unit : kSizes) {
    if (base::EqualsIgnoreCase(text, unit.name)) return Times(*number, unit.factor);
  }
  return {};
}

std::string DurationText(uint64_t seconds) {
  for (const Unit& unit : kDurations) {
    if (unit.factor == 604800) continue;  // people say 14d, not 2w
    if (seconds != 0 && seconds % unit.factor == 0)
      return base::StrCat(seconds / unit.factor, unit.name);
  }
  return "0s";
}

std::string SizeText(uint64_t bytes) {
  constexpr std::array<Unit, 4> kBinary = {
      {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1024}}};
  for (const Unit& unit : kBinary) {
    if (bytes != 0 && bytes % unit.factor == 0)
      return base::StrCat(bytes / unit.factor, " ", unit.name);
  }
  return std::to_string(bytes);
}

}  // namespace posthorn::config
