#pragma once

// Times in sentences for operators.

#include <time.h>

#include <cstdint>
#include <string>

namespace posthorn::store_service {

// "2026-11-21 18:00:03 UTC", of milliseconds since 1970.
inline std::string UtcText(int64_t millis) {
  const time_t seconds = millis / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

}  // namespace posthorn::store_service
