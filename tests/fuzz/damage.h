#pragma once

// Reads choices from a fuzzer's input, and damages what was made of them.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace posthorn::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  uint32_t Number() { return uint32_t{Byte()} << 8 | Byte(); }
  std::string_view Bytes(size_t most) {
    const std::string_view bytes = rest_.substr(0, most);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

 private:
  std::string_view rest_;
};

// Some bytes changed, the end cut off or garbage behind it, as the rest of the input says. Returns
// where the garbage begins: with its tables of compared values libFuzzer can forge whole records.
inline size_t Damage(Input& input, std::string& bytes) {
  for (int edits = input.Byte() % 8; edits > 0 && !bytes.empty(); --edits) {
    bytes[input.Number() % bytes.size()] ^= static_cast<char>(input.Byte());
  }
  if (input.Byte() % 4 == 1)
    bytes.resize(bytes.size() - std::min<size_t>(bytes.size(), input.Number()));
  const size_t garbage = bytes.size();
  bytes += input.Bytes(SIZE_MAX);
  return garbage;
}

}  // namespace posthorn::fuzz
