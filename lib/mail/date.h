#pragma once

// Dates of header fields [RFC5322 3.3, 4.3] and of IMAP [RFC9051 9, date-time]. Pure, total.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::mail {

struct Date {
  int64_t unix_seconds = 0;  // UTC
  int32_t zone_minutes = 0;  // east of UTC, within -1439..1439
  friend bool operator==(const Date&, const Date&) = default;
};

// A Date field's value: also comments, two-digit years, zone names, no day name, no seconds, no
// zone (then UTC). Nothing when day, month, year or time are missing or impossible.
std::optional<Date> ParseDate(std::string_view text);
// "Fri, 21 Nov 2025 09:55:06 -0600"
std::string FormatDate(const Date& date);

// IMAP's date-time without its quotes: "dd-Mon-yyyy hh:mm:ss +zzzz", the day blank or 0 padded.
std::optional<Date> ParseInternalDate(std::string_view text);
std::string FormatInternalDate(const Date& date);

// Days since 1970-01-01 of a date in the Gregorian calendar; SEARCH SENTON and its like compare
// days, disregarding time and zone.
int64_t DaysFromCivil(int64_t year, int month, int day);
// "1-Feb-1994" as days since 1970-01-01 [RFC9051 9, date-text].
std::optional<int64_t> ParseImapDay(std::string_view text);

}  // namespace posthorn::mail
