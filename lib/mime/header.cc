#include "lib/mime/header.h"

#include <cstring>

#include "lib/base/strings.h"

namespace posthorn::mime {
namespace {

// Behind the line that starts at `at`.
size_t LineEnd(std::string_view text, size_t at) {
  const void* lf = std::memchr(text.data() + at, '\n', text.size() - at);
  if (lf == nullptr) return text.size();
  return static_cast<size_t>(static_cast<const char*>(lf) - text.data()) + 1;
}

bool IsName(std::string_view name) {
  for (const char c : name)
    if (static_cast<unsigned char>(c) <= 32 || c == 127) return false;
  return !name.empty();
}

}  // namespace

bool FieldReader::Next(Field& field) {
  if (done_ || at_ >= text_.size()) return false;
  const size_t start = at_;
  size_t end = LineEnd(text_, start);
  const std::string_view line = text_.substr(start, end - start);
  if (line == "\r\n" || line == "\n") {
    at_ = end;
    done_ = true;
    return false;
  }
  while (end < text_.size() && (text_[end] == ' ' || text_[end] == '\t')) end = LineEnd(text_, end);
  at_ = end;
  field.offset = start;
  field.size = end - start;
  size_t last = end;
  if (last > start && text_[last - 1] == '\n') --last;
  if (last > start && text_[last - 1] == '\r') --last;
  const std::string_view whole = text_.substr(start, last - start);
  const size_t colon = whole.substr(0, line.size()).find(':');
  if (colon != std::string_view::npos) {
    // Blanks between name and colon are obsolete but legal [RFC5322 4.5].
    std::string_view name = whole.substr(0, colon);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (IsName(name)) {
      field.name = name;
      field.value = whole.substr(colon + 1);
      return true;
    }
  }
  field.name = {};
  field.value = whole;
  return true;
}

Header::Header(std::string_view message) {
  FieldReader reader(message);
  Field field;
  while (reader.Next(field))
    if (fields_.size() < kMaxHeaderFields) fields_.push_back(field);
  size_ = reader.position();
}

const Field* Header::Find(std::string_view name) const {
  for (const Field& field : fields_)
    if (base::EqualsIgnoreCase(field.name, name)) return &field;
  return nullptr;
}

std::vector<const Field*> Header::FindAll(std::string_view name) const {
  std::vector<const Field*> out;
  for (const Field& field : fields_)
    if (base::EqualsIgnoreCase(field.name, name)) out.push_back(&field);
  return out;
}

std::string Header::Value(std::string_view name) const {
  const Field* field = Find(name);
  return field == nullptr ? std::string() : Unfold(field->value);
}

std::string Unfold(std::string_view value) {
  std::string buffer;
  const std::string_view view = UnfoldView(value, buffer);
  if (view.data() != buffer.data()) return std::string(view);
  return buffer;
}

std::string_view UnfoldView(std::string_view value, std::string& buffer) {
  value = base::Trim(value);
  if (value.find_first_of("\r\n") == std::string_view::npos) return value;
  buffer.clear();
  buffer.reserve(value.size());
  for (const char c : value)
    if (c != '\r' && c != '\n') buffer.push_back(c);
  return buffer;
}

}  // namespace posthorn::mime
