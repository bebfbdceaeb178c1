#pragma once

// The one place that meets Abseil's own string_view: everything else speaks std::string_view.

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace posthorn::base {

// The message of a status as a standard view; lives as long as `status`.
inline std::string_view Message(const absl::Status& status) {
  const auto text = status.message();
  return {text.data(), text.size()};
}

// A status from standard strings.
absl::Status Error(absl::StatusCode code, std::string_view message);
inline absl::Status Invalid(std::string_view m) { return Error(absl::StatusCode::kInvalidArgument, m); }
inline absl::Status NotFound(std::string_view m) { return Error(absl::StatusCode::kNotFound, m); }
inline absl::Status Exists(std::string_view m) { return Error(absl::StatusCode::kAlreadyExists, m); }
inline absl::Status Unavailable(std::string_view m) { return Error(absl::StatusCode::kUnavailable, m); }
inline absl::Status Internal(std::string_view m) { return Error(absl::StatusCode::kInternal, m); }
inline absl::Status Denied(std::string_view m) { return Error(absl::StatusCode::kPermissionDenied, m); }
inline absl::Status Precondition(std::string_view m) { return Error(absl::StatusCode::kFailedPrecondition, m); }
inline absl::Status Exhausted(std::string_view m) { return Error(absl::StatusCode::kResourceExhausted, m); }
inline absl::Status DataLoss(std::string_view m) { return Error(absl::StatusCode::kDataLoss, m); }
inline absl::Status Aborted(std::string_view m) { return Error(absl::StatusCode::kAborted, m); }
// `status` with "where: " before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view where);

namespace internal {
inline void Append(std::string& out, std::string_view piece) { out.append(piece); }
inline void Append(std::string& out, char piece) { out.push_back(piece); }
template <std::integral T>
  requires(!std::same_as<T, char> && !std::same_as<T, bool>)
void Append(std::string& out, T piece) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), piece);
  out.append(digits, end.ptr);
}
}  // namespace internal

// Appends strings, characters and integers.
template <class... Pieces>
void StrAppend(std::string& out, const Pieces&... pieces) {
  (internal::Append(out, pieces), ...);
}
template <class... Pieces>
std::string StrCat(const Pieces&... pieces) {
  std::string out;
  StrAppend(out, pieces...);
  return out;
}

// ASCII only; bytes above 127 are left alone.
inline char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
inline char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
std::string Lower(std::string_view text);
std::string Upper(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix);
bool ContainsIgnoreCase(std::string_view text, std::string_view part);
// Without blanks and tabs (and CR, LF) at both ends.
std::string_view Trim(std::string_view text);
// All fields, empty ones too; views into `text`.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);

// The whole of `text` as a decimal number; nothing on any other character or on overflow.
template <std::integral T>
std::optional<T> ParseInt(std::string_view text) {
  T value{};
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size()) return {};
  return value;
}

std::string Hex(std::string_view bytes);
// Nothing when `text` is not an even number of hexadecimal digits.
std::optional<std::string> UnHex(std::string_view text);
// [RFC4648 4]. Decoding demands correct padding and nothing else in the text.
std::string Base64(std::string_view bytes);
std::optional<std::string> UnBase64(std::string_view text);

}  // namespace posthorn::base
