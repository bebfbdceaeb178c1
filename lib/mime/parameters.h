#pragma once

// Content-Type, Content-Disposition and their parameters [RFC2045 5.1, RFC2183, RFC2231]. Total.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::mime {

// A parameter as it stands in the field: name as written, value without quoting.
struct RawParameter {
  std::string_view name;
  std::string value;
};

// Reads "token[/token] *(; name=value)" from left to right; comments and blanks are skipped,
// missing semicolons and unclosed quotes tolerated. Linear time.
class ParameterReader {
 public:
  explicit ParameterReader(std::string_view field) : text_(field) {}
  // The part before the first ";": "text" "/" "plain" or "attachment". Call first, once.
  std::string_view Token();
  bool Slash();  // true when a "/" follows, which is then skipped
  bool Next(RawParameter& parameter);

 private:
  void SkipBlanks();
  std::string Value();

  std::string_view text_;
  size_t at_ = 0;
};

// A parameter with its continuations joined [RFC2231 3, 4].
struct Parameter {
  std::string name;     // lower case, without "*"
  std::string value;    // as bytes: percent-decoded when extended
  std::string charset;  // of an extended value; empty when not given
  std::string language;
  bool extended = false;  // one of its pieces was written with "*="

  std::string Utf8() const;  // the value in UTF-8; encoded words, though forbidden, are decoded
};

inline constexpr size_t kMaxParameters = 100;

struct ContentType {
  std::string_view type;  // as written; empty when the field is no media type
  std::string_view subtype;
  std::vector<Parameter> parameters;

  bool Is(std::string_view wanted_type, std::string_view wanted_subtype) const;
  const Parameter* Find(std::string_view name) const;  // nullptr without one
};

struct Disposition {
  std::string_view type;  // "attachment", "inline"; empty when there is none
  std::vector<Parameter> parameters;
  const Parameter* Find(std::string_view name) const;
};

// `field` is the raw value of the field and must outlive the result.
ContentType ParseContentType(std::string_view field);
Disposition ParseDisposition(std::string_view field);
// At most kMaxParameters, continuations joined.
std::vector<Parameter> ReadParameters(ParameterReader& reader);

}  // namespace posthorn::mime
