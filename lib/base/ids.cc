#include "lib/base/ids.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstring>

#include "lib/base/clock.h"
#include "lib/base/strings.h"

namespace posthorn::base {
namespace {
constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kText = 26;

void SetMillis(std::array<uint8_t, MessageId::kBytes>& data, int64_t millis) {
  for (int i = 0; i < 6; ++i) data[i] = static_cast<uint8_t>(millis >> (40 - 8 * i));
}

// RAND_bytes costs a microsecond a call: draw 64 ids' worth at a time for each thread.
void RandomTail(uint8_t* out) {
  thread_local std::array<uint8_t, 640> pool;
  thread_local size_t used = pool.size();
  if (used == pool.size()) {
    RAND_bytes(pool.data(), static_cast<int>(pool.size()));
    used = 0;
  }
  std::memcpy(out, pool.data() + used, 10);
  used += 10;
}
}  // namespace

MessageId MessageId::New() {
  MessageId id;
  SetMillis(id.data_, WallMillis());
  RandomTail(id.data_.data() + 6);
  return id;
}

std::optional<MessageId> MessageId::FromBytes(std::string_view bytes) {
  if (bytes.size() != kBytes) return {};
  MessageId id;
  std::memcpy(id.data_.data(), bytes.data(), kBytes);
  return id;
}

std::optional<MessageId> MessageId::Parse(std::string_view text) {
  if (text.size() != kText || text[0] > '7') return {};
  MessageId id;
  unsigned __int128 value = 0;
  for (const char c : text) {
    const size_t digit = kCrockford.find(ToUpper(c));
    if (digit == std::string_view::npos) return {};
    value = value << 5 | digit;
  }
  for (size_t i = 0; i < kBytes; ++i) id.data_[i] = static_cast<uint8_t>(value >> (120 - 8 * i));
  return id;
}

MessageId MessageId::Derive(const MessageId& parent, std::string_view cause) {
  const std::string input = StrCat(parent.bytes(), cause);
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(input.data()), input.size(), digest);
  MessageId id = parent;
  std::memcpy(id.data_.data() + 6, digest, 10);
  return id;
}

std::string MessageId::ToString() const {
  unsigned __int128 value = 0;
  for (const uint8_t byte : data_) value = value << 8 | byte;
  std::string out(kText, '0');
  for (size_t i = 0; i < kText; ++i)
    out[i] = kCrockford[static_cast<size_t>(value >> (5 * (kText - 1 - i))) & 31];
  return out;
}

int64_t MessageId::millis() const {
  int64_t value = 0;
  for (int i = 0; i < 6; ++i) value = value << 8 | data_[i];
  return value;
}

}  // namespace posthorn::base
