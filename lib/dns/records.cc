#include "lib/dns/records.h"

#include "lib/base/strings.h"
#include "lib/net/network.h"

namespace posthorn::dns {
namespace {

constexpr size_t kMaxLabel = 63;  // [RFC1035 2.3.4]
constexpr size_t kMaxName = 253;  // 255 octets on the wire

void AppendEscaped(std::string& out, unsigned char c) {
  const char digits[] = {'\\', static_cast<char>('0' + c / 100),
                         static_cast<char>('0' + c / 10 % 10), static_cast<char>('0' + c % 10)};
  out.append(digits, sizeof(digits));
}

void AppendOctet(std::string& out, unsigned char c) {
  if (c <= ' ' || c >= 0x7f || c == '.' || c == '\\' || c == '"') {
    AppendEscaped(out, c);
  } else {
    out.push_back(base::ToLower(static_cast<char>(c)));
  }
}

unsigned char At(std::string_view data, size_t i) { return static_cast<unsigned char>(data[i]); }

}  // namespace

std::optional<std::string> AddressFromData(std::string_view data) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
  if (data.size() == 4) return net::FormatV4(bytes);
  if (data.size() == 16) return net::FormatV6(bytes);
  return {};
}

std::optional<std::string> NameFromData(std::string_view data, size_t* used) {
  std::string name;
  size_t at = 0;
  while (at < data.size()) {
    const size_t length = At(data, at++);
    if (length == 0) {
      if (used != nullptr) *used = at;
      return name;
    }
    if (length > kMaxLabel || length > data.size() - at) return {};
    if (!name.empty()) name.push_back('.');
    for (size_t i = 0; i < length; ++i) AppendOctet(name, At(data, at + i));
    at += length;
  }
  return {};
}

std::optional<std::string> TextFromData(std::string_view data) {
  std::string text;
  while (!data.empty()) {
    const size_t length = At(data, 0);
    if (length > data.size() - 1) return {};
    text.append(data.substr(1, length));
    data.remove_prefix(1 + length);
  }
  return text;
}

std::optional<MxHost> MxFromData(std::string_view data) {
  if (data.size() < 3) return {};
  std::optional<std::string> name = NameFromData(data.substr(2));
  if (!name) return {};
  return MxHost{static_cast<uint16_t>(At(data, 0) << 8 | At(data, 1)), *std::move(name)};
}

absl::StatusOr<std::string> QuestionName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return std::string(".");
  if (name.size() > kMaxName) return base::Invalid("name of more than 253 octets");
  std::string out;
  for (const std::string_view label : base::Split(name, '.')) {
    if (label.empty()) return base::Invalid("empty label in a name");
    if (label.size() > kMaxLabel) return base::Invalid("label of more than 63 octets");
    for (const char c : label) AppendOctet(out, static_cast<unsigned char>(c));
    out.push_back('.');
  }
  return out;
}

std::optional<std::string> ReversedLabels(std::string_view address) {
  const std::optional<net::Address> parsed = net::ParseAddress(address);
  if (!parsed) return {};
  std::string out;
  if (parsed->is_v4) {
    for (int i = 3; i >= 0; --i)
      base::StrAppend(out, out.empty() ? "" : ".", static_cast<int>(parsed->bytes[i]));
    return out;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int i = 15; i >= 0; --i) {
    const uint8_t byte = parsed->bytes[i];
    base::StrAppend(out, out.empty() ? "" : ".", kDigits[byte & 15], '.', kDigits[byte >> 4]);
  }
  return out;
}

std::optional<std::string> ReverseName(std::string_view address) {
  std::optional<std::string> labels = ReversedLabels(address);
  if (!labels) return {};
  return base::StrCat(*labels, labels->size() < 16 ? ".in-addr.arpa" : ".ip6.arpa");
}

}  // namespace posthorn::dns
