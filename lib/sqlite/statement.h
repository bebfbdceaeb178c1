#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"

struct sqlite3_stmt;

namespace posthorn::sqlite {

class Connection;

// Bytes that are bound as a BLOB; a string_view is bound as TEXT.
struct Bytes {
  explicit Bytes(std::string_view b) : data(b) {}
  std::string_view data;
};

// A prepared statement. Bound strings are not copied: they must live until Reset.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  ~Statement();
  Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  void Bind(int index, std::nullptr_t);
  void Bind(int index, std::string_view text);
  void Bind(int index, const char* text) { Bind(index, std::string_view(text)); }
  void Bind(int index, const std::string& text) { Bind(index, std::string_view(text)); }
  void Bind(int index, Bytes bytes);
  void Bind(int index, double value);
  // 64-bit unsigned values keep their bits; read them back with Unsigned().
  template <std::integral T>
  void Bind(int index, T value) {
    BindInteger(index, static_cast<int64_t>(value));
  }
  template <class T>
  void Bind(int index, const std::optional<T>& value) {
    value ? Bind(index, *value) : Bind(index, nullptr);
  }

  // As Bind, but the string is copied.
  void BindCopy(int index, std::string_view text);
  void BindCopy(int index, Bytes bytes);

  // True: a row is there; false: done.
  absl::StatusOr<bool> Step();
  // Ready to be bound and run again; views into columns end here.
  void Reset();
  // Binds all, runs to the end, resets; for statements without rows.
  template <class... Args>
  absl::Status Run(const Args&... args) {
    int index = 0;
    (Bind(++index, args), ...);
    const absl::StatusOr<bool> row = Step();
    Reset();
    return row.status();
  }

  int64_t Int(int column) const;
  uint64_t Unsigned(int column) const { return static_cast<uint64_t>(Int(column)); }
  double Real(int column) const;
  // TEXT or BLOB; valid until the next Step or Reset.
  std::string_view Text(int column) const;
  bool IsNull(int column) const;

  sqlite3_stmt* handle() const { return handle_; }

 private:
  void BindInteger(int index, int64_t value);
  sqlite3_stmt* handle_ = nullptr;
};

// A running statement that goes back to its connection when destroyed. Its arguments are copied.
class Cursor {
 public:
  Cursor(Connection& connection, absl::StatusOr<Statement> statement)
      : connection_(&connection), statement_(std::move(statement)) {}
  ~Cursor();
  Cursor(Cursor&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)),
        statement_(std::move(other.statement_)) {}
  Cursor& operator=(Cursor&&) = delete;

  template <class T>
  void Bind(int index, const T& value) {
    if (!statement_.ok()) return;
    if constexpr (std::is_same_v<T, Bytes>) {
      statement_->BindCopy(index, value);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      statement_->BindCopy(index, std::string_view(value));
    } else {
      statement_->Bind(index, value);
    }
  }
  absl::StatusOr<bool> Next() {
    if (!statement_.ok()) return statement_.status();
    return statement_->Step();
  }
  int64_t Int(int column) const { return statement_->Int(column); }
  uint64_t Unsigned(int column) const { return statement_->Unsigned(column); }
  double Real(int column) const { return statement_->Real(column); }
  std::string_view Text(int column) const { return statement_->Text(column); }
  bool IsNull(int column) const { return statement_->IsNull(column); }

 private:
  Connection* connection_;
  absl::StatusOr<Statement> statement_;
};

}  // namespace posthorn::sqlite
