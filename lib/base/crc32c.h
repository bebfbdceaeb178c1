#pragma once

#include <cstdint>
#include <string_view>

namespace posthorn::base {

// CRC-32C (Castagnoli, [RFC3720 B.4]) of `bytes`, continuing from `seed` (0 to begin).
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace posthorn::base
