#include "lib/mail/date.h"

#include <array>
#include <cstdio>

#include "lib/base/strings.h"

namespace posthorn::mail {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct Civil {
  int64_t year = 0;
  int month = 0, day = 0, hour = 0, minute = 0, second = 0, zone = 0;
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

int DaysInMonth(int64_t year, int month) {
  if (month == 2) return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

std::optional<Date> ToDate(const Civil& c) {
  // A leap second (60) is allowed by the grammar; it counts as the next second.
  if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > DaysInMonth(c.year, c.month) ||
      c.hour > 23 || c.minute > 59 || c.second > 60)
    return {};
  const int64_t local =
      DaysFromCivil(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 + c.second;
  return Date{local - int64_t{c.zone} * 60, c.zone};
}

Civil FromDate(const Date& date) {
  const int64_t local = date.unix_seconds + int64_t{date.zone_minutes} * 60;
  int64_t days = local / 86400, rest = local % 86400;
  if (rest < 0) --days, rest += 86400;
  // Days to year, month, day: eras of 400 years that start on 1 March.
  const int64_t z = days + 719468;
  const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  const int64_t doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  Civil c;
  c.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
  c.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  c.year = yoe + era * 400 + (c.month <= 2 ? 1 : 0);
  c.hour = static_cast<int>(rest / 3600);
  c.minute = static_cast<int>(rest / 60 % 60);
  c.second = static_cast<int>(rest % 60);
  return c;
}

int MonthNumber(std::string_view name) {
  for (size_t i = 0; i < kMonths.size(); ++i)
    if (base::EqualsIgnoreCase(name.substr(0, 3), kMonths[i])) return static_cast<int>(i) + 1;
  return 0;
}

// Zone names [RFC5322 4.3]; military letters and unknown names count as UTC, as it demands.
int ZoneOfName(std::string_view name) {
  struct Zone {
    std::string_view name;
    int minutes;
  };
  static constexpr Zone kZones[] = {
      {"EST", -300}, {"EDT", -240}, {"CST", -360}, {"CDT", -300}, {"MST", -420},
      {"MDT", -360}, {"PST", -480}, {"PDT", -420}, {"CET", 60},   {"CEST", 120},
  };
  for (const Zone& zone : kZones)
    if (base::EqualsIgnoreCase(zone.name, name)) return zone.minutes;
  return 0;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  void SkipBlanksAndComments() {
    size_t depth = 0;
    for (; !text_.empty(); text_.remove_prefix(1)) {
      const char c = text_.front();
      if (c == '(') {
        ++depth;
      } else if (depth > 0) {
        if (c == ')') --depth;
        if (c == '\\' && text_.size() > 1) text_.remove_prefix(1);
      } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        return;
      }
    }
  }

  bool Take(char wanted) {
    SkipBlanksAndComments();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }

  std::string_view Letters() { return Run(IsAlpha); }

  // Between 1 and `most` digits; `digits` says how many.
  bool Number(size_t most, int& value, size_t& digits) {
    const std::string_view run = Run(IsDigit);
    digits = run.size();
    if (run.empty() || run.size() > most) return false;
    value = *base::ParseInt<int>(run);
    return true;
  }
  bool Number(size_t most, int& value) {
    size_t digits;
    return Number(most, value, digits);
  }

  bool AtEnd() {
    SkipBlanksAndComments();
    return text_.empty();
  }

 private:
  std::string_view Run(bool (*is)(char)) {
    SkipBlanksAndComments();
    size_t end = 0;
    while (end < text_.size() && is(text_[end])) ++end;
    const std::string_view run = text_.substr(0, end);
    text_.remove_prefix(end);
    return run;
  }

  std::string_view text_;
};

bool ReadTime(Reader& in, Civil& c) {
  if (!in.Number(2, c.hour) || !(in.Take(':') || in.Take('.')) || !in.Number(2, c.minute))
    return false;
  if (in.Take(':') || in.Take('.')) return in.Number(2, c.second);
  return true;
}

bool ReadZone(Reader& in, Civil& c) {
  const bool plus = in.Take('+');
  const bool minus = !plus && in.Take('-');
  if (!plus && !minus) {
    c.zone = ZoneOfName(in.Letters());
    return true;
  }
  int zone = 0;
  if (!in.Number(4, zone) || zone % 100 > 59 || zone > 2359) return false;
  c.zone = (zone / 100 * 60 + zone % 100) * (minus ? -1 : 1);
  return true;
}

bool ReadYear(Reader& in, Civil& c) {
  int year = 0;
  size_t digits = 0;
  if (!in.Number(5, year, digits)) return false;
  // [RFC5322 4.3]: two digits below 50 are 20xx, other two or three digits count from 1900.
  if (digits <= 2 && year < 50) {
    year += 2000;
  } else if (digits <= 3) {
    year += 1900;
  }
  c.year = year;
  return true;
}

std::string FormatZone(int minutes) {
  char out[16];
  const int size = minutes < 0 ? -minutes : minutes;
  std::snprintf(out, sizeof(out), "%c%02d%02d", minutes < 0 ? '-' : '+', size / 60 % 100,
                size % 60);
  return out;
}

}  // namespace

int64_t DaysFromCivil(int64_t year, int month, int day) {
  year -= month <= 2 ? 1 : 0;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t yoe = year - era * 400;
  const int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

std::optional<Date> ParseDate(std::string_view text) {
  Reader in(text);
  Civil c;
  std::string_view word = in.Letters();
  // asctime's order, which old software still writes: "Fri Nov 21 09:55:06 1997".
  if (!word.empty() && !in.Take(',')) {
    const std::string_view month = in.Letters();
    if (!month.empty()) {
      c.month = MonthNumber(month);
      if (!in.Number(2, c.day) || !ReadTime(in, c) || !ReadYear(in, c)) return {};
      if (!ReadZone(in, c)) return {};
      return ToDate(c);
    }
  }
  in.Take(',');
  if (!in.Number(2, c.day)) return {};
  in.Take('-');
  word = in.Letters();
  if (word.size() < 3) return {};
  c.month = MonthNumber(word);
  in.Take('-');
  if (!ReadYear(in, c) || !ReadTime(in, c) || !ReadZone(in, c)) return {};
  return ToDate(c);
}

std::string FormatDate(const Date& date) {
  const Civil c = FromDate(date);
  const int64_t days = DaysFromCivil(c.year, c.month, c.day);
  char out[64];
  std::snprintf(out, sizeof(out), "%s, %d %s %04lld %02d:%02d:%02d ",
                kDays[static_cast<size_t>(((days + 4) % 7 + 7) % 7)].data(), c.day,
                kMonths[static_cast<size_t>(c.month - 1)].data(), static_cast<long long>(c.year),
                c.hour, c.minute, c.second);
  return out + FormatZone(date.zone_minutes);
}

std::optional<Date> ParseInternalDate(std::string_view text) {
  Reader in(text);
  Civil c;
  size_t year_digits = 0;
  int year = 0;
  if (!in.Number(2, c.day) || !in.Take('-')) return {};
  const std::string_view month = in.Letters();
  if (month.size() != 3) return {};
  c.month = MonthNumber(month);
  if (!in.Take('-') || !in.Number(4, year, year_digits) || year_digits != 4) return {};
  c.year = year;
  if (!in.Number(2, c.hour) || !in.Take(':') || !in.Number(2, c.minute) || !in.Take(':') ||
      !in.Number(2, c.second))
    return {};
  if (!ReadZone(in, c) || !in.AtEnd()) return {};
  return ToDate(c);
}

std::string FormatInternalDate(const Date& date) {
  const Civil c = FromDate(date);
  char out[64];
  std::snprintf(out, sizeof(out), "%02d-%s-%04lld %02d:%02d:%02d ", c.day,
                kMonths[static_cast<size_t>(c.month - 1)].data(), static_cast<long long>(c.year),
                c.hour, c.minute, c.second);
  return out + FormatZone(date.zone_minutes);
}

std::optional<int64_t> ParseImapDay(std::string_view text) {
  Reader in(text);
  Civil c;
  size_t digits = 0;
  int year = 0;
  if (!in.Number(2, c.day) || !in.Take('-')) return {};
  const std::string_view month = in.Letters();
  if (month.size() != 3 || !in.Take('-') || !in.Number(4, year, digits) || digits != 4) return {};
  c.month = MonthNumber(month);
  if (!in.AtEnd() || c.month == 0 || c.day < 1 || c.day > DaysInMonth(year, c.month)) return {};
  return DaysFromCivil(year, c.month, c.day);
}

}  // namespace posthorn::mail
