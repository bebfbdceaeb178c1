#include "lib/observe/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::observe {
namespace {

std::atomic<Level> threshold{Level::kInfo};
std::string process_name = "posthorn";  // written once, before other threads exist

constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};

std::string_view NameOf(Level level) { return kNames[static_cast<size_t>(level)]; }

void AppendTime(std::string& out) {
  const int64_t now = base::WallMillis();
  const time_t seconds = now / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  out.append(text, n);
  const int64_t millis = now % 1000;
  base::StrAppend(out, '.', millis < 100 ? "0" : "", millis < 10 ? "0" : "", millis, 'Z');
}

// Quotes whatever would break the line or the key=value shape.
void AppendValue(std::string& out, std::string_view value) {
  const auto plain = [](char c) { return c > ' ' && c != '"' && c != '\\' && c != '=' && c != 0x7f; };
  bool quote = value.empty();
  for (const char c : value) quote = quote || !plain(c);
  if (!quote) {
    out.append(value);
    return;
  }
  out.push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      base::StrAppend(out, "\\x", base::Hex(std::string_view(&c, 1)));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

Counter* LineCounter(Level level) {
  static Counter* const kCounters[] = {
      NewCounter("posthorn_log_lines_total", "Log lines by level", {{"level", "debug"}}),
      NewCounter("posthorn_log_lines_total", "Log lines by level", {{"level", "info"}}),
      NewCounter("posthorn_log_lines_total", "Log lines by level", {{"level", "warning"}}),
      NewCounter("posthorn_log_lines_total", "Log lines by level", {{"level", "error"}})};
  return kCounters[static_cast<size_t>(level)];
}

}  // namespace

void SetUpLog(std::string process, Level level) {
  process_name = std::move(process);
  if (const char* wanted = std::getenv("POSTHORN_LOG"); wanted != nullptr) {
    for (size_t i = 0; i < std::size(kNames); ++i)
      if (kNames[i] == wanted) level = static_cast<Level>(i);
  }
  threshold = level;
}

bool Enabled(Level level) { return level >= threshold.load(std::memory_order_relaxed); }

void Log(Level level, std::string_view event, std::initializer_list<Field> fields) {
  LineCounter(level)->Add();
  if (!Enabled(level)) return;
  std::string line;
  line.reserve(200);
  AppendTime(line);
  base::StrAppend(line, ' ', NameOf(level), ' ', process_name, ' ', event);
  for (const Field& field : fields) {
    base::StrAppend(line, ' ', field.key, '=');
    AppendValue(line, field.value);
  }
  line.push_back('\n');
  // One write a line, so that lines of several processes on one pipe do not mix. Nothing to do when it fails.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace posthorn::observe
