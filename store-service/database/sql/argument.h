#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::store_service::sql {

// Bytes that are bound as binary; a string_view is bound as text.
struct Bytes {
  explicit Bytes(std::string_view b) : data(b) {}
  std::string_view data;
};

// What stands for ?1, ?2 … Borrowed: strings must live until the call it is given to returns.
class Argument {
 public:
  enum class Type { kNull, kInteger, kReal, kText, kBytes };
  Argument(std::nullptr_t) {}
  Argument(std::string_view text) : type_(Type::kText), text_(text) {}
  Argument(const char* text) : Argument(std::string_view(text)) {}
  Argument(const std::string& text) : Argument(std::string_view(text)) {}
  Argument(Bytes bytes) : type_(Type::kBytes), text_(bytes.data) {}
  Argument(double value) : type_(Type::kReal), real_(value) {}
  // 64-bit unsigned values keep their bits (columns are signed on every engine); read them back
  // with Unsigned().
  template <std::integral T>
  Argument(T value) : type_(Type::kInteger), integer_(static_cast<int64_t>(value)) {}
  template <class T>
  Argument(const std::optional<T>& value) {
    if (value) *this = Argument(*value);
  }

  Type type() const { return type_; }
  int64_t integer() const { return integer_; }
  double real() const { return real_; }
  std::string_view text() const { return text_; }

 private:
  Type type_ = Type::kNull;
  int64_t integer_ = 0;
  double real_ = 0;
  std::string_view text_;
};

}  // namespace posthorn::store_service::sql
