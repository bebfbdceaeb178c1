#include "lib/mime/parameters.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/mime/charset.h"
#include "lib/mime/encoded_word.h"

namespace posthorn::mime {
namespace {

bool EndsToken(char c) {
  return static_cast<unsigned char>(c) <= 32 || c == ';' || c == '=' || c == '/' || c == '(' ||
         c == '"';
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = base::ToLower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool coded = text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
                       HexDigit(text[i + 2]) >= 0;
    if (coded) {
      out.push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// One piece of a continued parameter: "name*2*" is number 2, extended.
struct Piece {
  unsigned number = 0;
  bool extended = false;
  std::string value;
};

// Splits "name*2*" and gives the name in lower case.
std::string TakeName(std::string_view raw, Piece& piece) {
  if (raw.size() > 1 && raw.ends_with('*')) {
    piece.extended = true;
    raw.remove_suffix(1);
  }
  const size_t star = raw.rfind('*');
  if (star != std::string_view::npos && star > 0) {
    if (const auto number = base::ParseInt<unsigned>(raw.substr(star + 1))) {
      piece.number = *number;
      raw = raw.substr(0, star);
    }
  }
  return base::Lower(raw);
}

// extended-initial-value = [charset] "'" [language] "'" extended-other-values
std::string_view TakeCharset(std::string_view value, Parameter& parameter) {
  const size_t first = value.find('\'');
  if (first == std::string_view::npos) return value;
  const size_t second = value.find('\'', first + 1);
  if (second == std::string_view::npos) return value;
  parameter.charset = value.substr(0, first);
  parameter.language = value.substr(first + 1, second - first - 1);
  return value.substr(second + 1);
}

Parameter Join(std::string name, std::vector<Piece>& pieces) {
  // When both "name" and "name*" are given, the extended one is meant [RFC6266 4.3 has the same].
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.number != b.number ? a.number < b.number : a.extended > b.extended;
  });
  Parameter out;
  out.name = std::move(name);
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0 && pieces[i].number == pieces[i - 1].number) continue;
    std::string_view value = pieces[i].value;
    if (pieces[i].extended) {
      if (i == 0) value = TakeCharset(value, out);
      out.extended = true;
      out.value += PercentDecode(value);
    } else {
      out.value += value;
    }
  }
  return out;
}

const Parameter* FindIn(const std::vector<Parameter>& parameters, std::string_view name) {
  for (const Parameter& parameter : parameters)
    if (base::EqualsIgnoreCase(parameter.name, name)) return &parameter;
  return nullptr;
}

}  // namespace

void ParameterReader::SkipBlanks() {
  size_t depth = 0;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '(') {
      ++depth;
    } else if (depth > 0) {
      if (c == ')') --depth;
      if (c == '\\') ++at_;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      return;
    }
  }
  at_ = std::min(at_, text_.size());
}

std::string_view ParameterReader::Token() {
  SkipBlanks();
  const size_t start = at_;
  while (at_ < text_.size() && !EndsToken(text_[at_])) ++at_;
  const std::string_view token = text_.substr(start, at_ - start);
  SkipBlanks();
  return token;
}

bool ParameterReader::Slash() {
  if (at_ >= text_.size() || text_[at_] != '/') return false;
  ++at_;
  return true;
}

std::string ParameterReader::Value() {
  SkipBlanks();
  std::string out;
  if (at_ < text_.size() && text_[at_] == '"') {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      if (text_[at_] != '\r' && text_[at_] != '\n') out.push_back(text_[at_]);
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }
  // Broken senders leave out the quotes around values with "=", "/" or blanks inside.
  const size_t start = at_;
  while (at_ < text_.size() && text_[at_] != ';' && text_[at_] != '\r' && text_[at_] != '\n' &&
         text_[at_] != '(')
    ++at_;
  return std::string(base::Trim(text_.substr(start, at_ - start)));
}

bool ParameterReader::Next(RawParameter& parameter) {
  while (at_ < text_.size()) {
    SkipBlanks();
    const size_t before = at_;
    parameter.name = Token();
    if (at_ < text_.size() && text_[at_] == '=' && !parameter.name.empty()) {
      ++at_;
      parameter.value = Value();
      return true;
    }
    // Neither a name nor a value: skip one character, so that reading always gets on.
    if (at_ < text_.size() && (at_ == before || parameter.name.empty())) ++at_;
  }
  return false;
}

std::vector<Parameter> ReadParameters(ParameterReader& reader) {
  std::vector<std::pair<std::string, std::vector<Piece>>> found;
  RawParameter raw;
  for (size_t count = 0; count < kMaxParameters && reader.Next(raw); ++count) {
    Piece piece;
    std::string name = TakeName(raw.name, piece);
    piece.value = std::move(raw.value);
    auto at = std::find_if(found.begin(), found.end(),
                           [&name](const auto& entry) { return entry.first == name; });
    if (at == found.end()) at = found.insert(at, std::pair(std::move(name), std::vector<Piece>()));
    at->second.push_back(std::move(piece));
  }
  std::vector<Parameter> out;
  out.reserve(found.size());
  for (auto& [name, pieces] : found) out.push_back(Join(std::move(name), pieces));
  return out;
}

std::string Parameter::Utf8() const {
  if (extended) return ToUtf8(charset, value);
  return DecodeWords(value);
}

bool ContentType::Is(std::string_view wanted_type, std::string_view wanted_subtype) const {
  return base::EqualsIgnoreCase(type, wanted_type) &&
         base::EqualsIgnoreCase(subtype, wanted_subtype);
}

const Parameter* ContentType::Find(std::string_view name) const { return FindIn(parameters, name); }
const Parameter* Disposition::Find(std::string_view name) const { return FindIn(parameters, name); }

ContentType ParseContentType(std::string_view field) {
  ParameterReader reader(field);
  ContentType out;
  out.type = reader.Token();
  if (reader.Slash()) out.subtype = reader.Token();
  if (out.type.empty() || out.subtype.empty()) out.type = out.subtype = {};
  out.parameters = ReadParameters(reader);
  return out;
}

Disposition ParseDisposition(std::string_view field) {
  ParameterReader reader(field);
  Disposition out;
  out.type = reader.Token();
  out.parameters = ReadParameters(reader);
  return out;
}

}  // namespace posthorn::mime
