#include "store-service/mailbox/names.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/lane/account_memory.h"

namespace posthorn::store_service {
namespace {

// [RFC3629 4] well-formed UTF-8.
bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xC2 && lead < 0xE0 ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      point = point << 6 | (next & 0x3F);
    }
    const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
    i += length;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> NormalName(std::string_view name) {
  if (name.ends_with('/')) name.remove_suffix(1);
  if (name.empty()) return base::Invalid("a mailbox needs a name");
  if (name.size() > kMaxMailboxName) return base::Invalid("mailbox name is too long");
  if (!IsUtf8(name)) return base::Invalid("mailbox name is not UTF-8");
  const auto control = [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; };
  if (std::any_of(name.begin(), name.end(), control)) {
    return base::Invalid("mailbox name has control characters");
  }
  const auto levels = base::Split(name, '/');
  if (levels.size() > kMaxMailboxLevels) return base::Invalid("mailbox name has too many levels");
  for (const std::string_view level : levels) {
    if (level.empty()) return base::Invalid("mailbox name has an empty level");
  }
  return CanonicalName(name);
}

}  // namespace posthorn::store_service
