#pragma once

// Structured logs: one line an event on standard error, "time level process event key=value …".
// Event names are stable ("smtp.session.end"); no prose, no message content, no secrets. Info: one line a session,
// delivery or refusal. Error: an operator must act. Any thread; a line is one write(2).

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace posthorn::observe {

enum class Level { kDebug, kInfo, kWarning, kError };

struct Field {
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  Field(std::string_view k, double v) : key(k), value(std::to_string(v)) {}
  template <class T>
    requires std::is_integral_v<T>
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
  std::string_view key;
  std::string value;
};

// Called once by main; below `level` nothing is formatted. POSTHORN_LOG (debug, info, warning, error) overrides.
void SetUpLog(std::string process, Level level);
bool Enabled(Level level);
void Log(Level level, std::string_view event, std::initializer_list<Field> fields);
inline void Debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  if (Enabled(Level::kDebug)) Log(Level::kDebug, event, fields);
}
inline void Info(std::string_view event, std::initializer_list<Field> fields = {}) { Log(Level::kInfo, event, fields); }
inline void Warning(std::string_view event, std::initializer_list<Field> fields = {}) { Log(Level::kWarning, event, fields); }
inline void Error(std::string_view event, std::initializer_list<Field> fields = {}) { Log(Level::kError, event, fields); }

}  // namespace posthorn::observe
