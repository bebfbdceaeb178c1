#pragma once

// Durations and sizes as people write them. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::config {

// Seconds; nothing on malformed text or overflow. A number without a unit is seconds.
std::optional<uint64_t> ParseDuration(std::string_view text);
// Bytes. KB, MB, GB, TB are powers of 1000; KiB, MiB, GiB, TiB of 1024; case does not matter.
std::optional<uint64_t> ParseSize(std::string_view text);
// The shortest exact form: "5m", "90s", "25 MiB", "1000".
std::string DurationText(uint64_t seconds);
std::string SizeText(uint64_t bytes);

}  // namespace posthorn::config
