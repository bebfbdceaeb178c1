#include "imap-gateway/protocol/dates.h"

#include <array>
#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr int64_t kDaySeconds = 86400;

// Days since 1970 of a Gregorian date, counted in 400-year eras that begin in March.
int64_t DaysFromDate(int64_t year, int month, int day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct Date {
  int64_t year;
  int month;
  int day;
};

Date DateFromDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t of_era = days - era * 146097;
  const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const int64_t shifted = (5 * of_year + 2) / 153;
  const int month = static_cast<int>(shifted < 10 ? shifted + 3 : shifted - 9);
  return {year + era * 400 + (month <= 2), month,
          static_cast<int>(of_year - (153 * shifted + 2) / 5 + 1)};
}

int DaysInMonth(int64_t year, int month) {
  const int64_t next =
      month == 12 ? DaysFromDate(year + 1, 1, 1) : DaysFromDate(year, month + 1, 1);
  return static_cast<int>(next - DaysFromDate(year, month, 1));
}

int64_t FloorDiv(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

void AppendTwo(std::string& out, int64_t value, char pad) {
  out.push_back(value < 10 ? pad : static_cast<char>('0' + value / 10));
  out.push_back(static_cast<char>('0' + value % 10));
}

std::optional<int> TwoDigits(std::string_view text) {
  if (text.size() != 2) return {};
  return base::ParseInt<int>(text);
}

absl::Status Bad() { return base::Invalid("malformed date"); }

}  // namespace

absl::StatusOr<int32_t> ParseDay(std::string_view text) {
  const auto parts = base::Split(text, '-');
  if (parts.size() != 3 || parts[0].empty() || parts[0].size() > 2 || parts[2].size() != 4)
    return Bad();
  const auto day = base::ParseInt<int>(base::Trim(parts[0]));
  const auto year = base::ParseInt<int>(parts[2]);
  int month = 0;
  for (size_t i = 0; i < kMonths.size(); ++i)
    if (base::EqualsIgnoreCase(parts[1], kMonths[i])) month = static_cast<int>(i) + 1;
  if (!day || !year || month == 0 || *year < 1 || *day < 1 || *day > DaysInMonth(*year, month))
    return Bad();
  return static_cast<int32_t>(DaysFromDate(*year, month, *day));
}

absl::StatusOr<DateTime> ParseDateTime(std::string_view text) {
  text = base::Trim(text);
  const auto parts = base::Split(text, ' ');
  if (parts.size() != 3 || parts[1].size() != 8 || parts[2].size() != 5) return Bad();
  ASSIGN_OR_RETURN(const int32_t day, ParseDay(parts[0]));
  const auto hour = TwoDigits(parts[1].substr(0, 2));
  const auto minute = TwoDigits(parts[1].substr(3, 2));
  const auto second = TwoDigits(parts[1].substr(6, 2));
  const auto zone_hour = TwoDigits(parts[2].substr(1, 2));
  const auto zone_minute = TwoDigits(parts[2].substr(3, 2));
  if (!hour || !minute || !second || !zone_hour || !zone_minute) return Bad();
  if (parts[1][2] != ':' || parts[1][5] != ':' || (parts[2][0] != '+' && parts[2][0] != '-'))
    return Bad();
  if (*hour < 0 || *minute < 0 || *second < 0 || *zone_hour < 0 || *zone_minute < 0) return Bad();
  if (*hour > 23 || *minute > 59 || *second > 60 || *zone_hour > 23 || *zone_minute > 59)
    return Bad();
  DateTime when;
  when.zone_minutes = (*zone_hour * 60 + *zone_minute) * (parts[2][0] == '-' ? -1 : 1);
  when.seconds = day * kDaySeconds + *hour * 3600 + *minute * 60 + *second - when.zone_minutes * 60;
  return when;
}

void AppendDateTime(std::string& out, DateTime when) {
  const int64_t local = when.seconds + int64_t{when.zone_minutes} * 60;
  const int64_t days = FloorDiv(local, kDaySeconds);
  const int64_t rest = local - days * kDaySeconds;
  const Date date = DateFromDays(days);
  AppendTwo(out, date.day, ' ');
  out.push_back('-');
  out.append(kMonths[static_cast<size_t>(date.month - 1)]);
  out.push_back('-');
  const int64_t year = date.year < 0 ? 0 : date.year > 9999 ? 9999 : date.year;
  AppendTwo(out, year / 100, '0');
  AppendTwo(out, year % 100, '0');
  out.push_back(' ');
  AppendTwo(out, rest / 3600, '0');
  out.push_back(':');
  AppendTwo(out, rest / 60 % 60, '0');
  out.push_back(':');
  AppendTwo(out, rest % 60, '0');
  const int32_t zone = when.zone_minutes < 0 ? -when.zone_minutes : when.zone_minutes;
  out.append(when.zone_minutes < 0 ? " -" : " +");
  AppendTwo(out, zone / 60 % 100, '0');
  AppendTwo(out, zone % 60, '0');
}

int32_t LocalDay(DateTime when) {
  return static_cast<int32_t>(
      FloorDiv(when.seconds + int64_t{when.zone_minutes} * 60, kDaySeconds));
}

}  // namespace posthorn::imap_gateway
