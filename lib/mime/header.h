#pragma once

// Header sections [RFC5322 2.2]: views into the message, nothing copied. Total: bare LF, lines
// without colon and a missing blank line are tolerated. Linear time, safe on any thread.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::mime {

inline constexpr size_t kMaxHeaderFields = 10'000;  // a Header keeps no more; the rest is skipped

struct Field {
  std::string_view name;   // without blanks before the colon; empty for a line that is no field
  std::string_view value;  // behind the colon, folding included, without the last line break
  size_t offset = 0;       // of the name, in the text that was read
  size_t size = 0;         // of the whole field, its last line break included
};

// Reads fields one by one until the blank line or the end of the text.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) : text_(text) {}
  // False at the end; then position() is where the body starts.
  bool Next(Field& field);
  size_t position() const { return at_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
  bool done_ = false;
};

class Header {
 public:
  Header() = default;
  // `message` starts with a header section; it must outlive the result.
  explicit Header(std::string_view message);

  const std::vector<Field>& fields() const { return fields_; }
  // Bytes up to the body, the blank line included.
  size_t size() const { return size_; }
  // The first field of that name, nullptr without one. Names are compared without case.
  const Field* Find(std::string_view name) const;
  std::vector<const Field*> FindAll(std::string_view name) const;
  // The first field's unfolded value; empty without one.
  std::string Value(std::string_view name) const;

 private:
  std::vector<Field> fields_;
  size_t size_ = 0;
};

// Without line breaks (a fold keeps its blank) and without blanks at both ends [RFC5322 2.2.3].
std::string Unfold(std::string_view value);
// `value` itself when it has no line break, else its unfolded form in `buffer`; trimmed.
std::string_view UnfoldView(std::string_view value, std::string& buffer);

}  // namespace posthorn::mime
