#pragma once

// IMAP's two date forms, without the C library's time zone machinery (FETCH prints 500,000 of them
// a second).

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace posthorn::imap_gateway {

struct DateTime {
  int64_t seconds = 0;  // since 1970, UTC
  int32_t zone_minutes = 0;
};

// date-time without its quotes: " 1-Feb-1994 21:52:25 -0800".
absl::StatusOr<DateTime> ParseDateTime(std::string_view text);
// date-text: "1-Feb-1994"; days since 1970.
absl::StatusOr<int32_t> ParseDay(std::string_view text);
// Appends "17-Jul-1996 02:44:25 -0700" (day of two characters, padded with a space).
void AppendDateTime(std::string& out, DateTime when);
// The day in the zone itself ([RFC9051 6.4.4]: searches disregard time and zone).
int32_t LocalDay(DateTime when);

}  // namespace posthorn::imap_gateway
