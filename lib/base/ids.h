#pragma once

// The identities of deep-structures, section 1, as types that cannot be mixed up.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace posthorn::base {

// The one public id of a message: 48 bits of milliseconds since 1970, then 80 random bits.
// Written as 26 characters of Crockford's base 32, so text order is time order.
class MessageId {
 public:
  static constexpr size_t kBytes = 16;
  MessageId() = default;  // all zero: "none"
  // A new id; any thread, never blocks.
  static MessageId New();
  // From 16 raw bytes; nothing when the length differs.
  static std::optional<MessageId> FromBytes(std::string_view bytes);
  // From its text form, any case; nothing when it is not one.
  static std::optional<MessageId> Parse(std::string_view text);
  // The id of something that `parent` begets (a forward, a DSN): the same inputs give the same id.
  static MessageId Derive(const MessageId& parent, std::string_view cause);

  std::string_view bytes() const { return {reinterpret_cast<const char*>(data_.data()), kBytes}; }
  std::string ToString() const;
  int64_t millis() const;
  bool empty() const { return *this == MessageId(); }
  friend auto operator<=>(const MessageId&, const MessageId&) = default;

 private:
  std::array<uint8_t, kBytes> data_{};
};

inline constexpr uint32_t kLanes = 32;  // fixed when an installation is made
using AccountId = uint64_t;
using MailboxId = uint64_t;
using Uid = uint32_t;
using ModSeq = uint64_t;
inline uint32_t LaneOf(AccountId account) { return static_cast<uint32_t>(account % kLanes); }

// The message of the kUnavailable with which a store refuses a call for a lane that it does not
// own: nothing was done, the owner is to be asked.
inline constexpr std::string_view kNotOwner = "another store owns this account";

}  // namespace posthorn::base

template <>
struct std::hash<posthorn::base::MessageId> {
  size_t operator()(const posthorn::base::MessageId& id) const noexcept {
    size_t value = 0;
    __builtin_memcpy(&value, id.bytes().data() + 8, sizeof(value));
    return value;
  }
};
