#include "lib/mime/decode.h"

#include <array>

#include "lib/base/strings.h"

namespace posthorn::mime {
namespace {

constexpr int8_t kSkip = -1, kPad = -2;

constexpr std::array<int8_t, 256> MakeAlphabet() {
  std::array<int8_t, 256> table{};
  for (auto& entry : table) entry = kSkip;
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kLetters.size(); ++i)
    table[static_cast<uint8_t>(kLetters[i])] = static_cast<int8_t>(i);
  table['='] = kPad;
  return table;
}
constexpr std::array<int8_t, 256> kAlphabet = MakeAlphabet();

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = base::ToLower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

TransferEncoding ParseTransferEncoding(std::string_view field) {
  const std::string_view name = base::Trim(field.substr(0, field.find_first_of(";(")));
  if (base::EqualsIgnoreCase(name, "base64")) return TransferEncoding::kBase64;
  if (base::EqualsIgnoreCase(name, "quoted-printable")) return TransferEncoding::kQuotedPrintable;
  return TransferEncoding::kIdentity;
}

void Base64Decoder::Decode(std::string_view chunk, std::string& out) {
  for (const char c : chunk) {
    const int8_t value = kAlphabet[static_cast<uint8_t>(c)];
    if (value == kSkip) continue;
    if (value == kPad) {
      bits_ = count_ = 0;
      continue;
    }
    bits_ = bits_ << 6 | static_cast<uint32_t>(value);
    // A byte leaves as soon as it is complete, so a cut-off end loses nothing.
    switch (++count_) {
      case 2:
        out.push_back(static_cast<char>(bits_ >> 4));
        break;
      case 3:
        out.push_back(static_cast<char>(bits_ >> 2));
        break;
      case 4:
        out.push_back(static_cast<char>(bits_));
        bits_ = count_ = 0;
        break;
    }
  }
}

void QuotedPrintableDecoder::FlushBlanks(std::string& out) {
  out += blanks_;
  blanks_.clear();
}

void QuotedPrintableDecoder::Byte(char c, std::string& out) {
  if (!held_.empty()) {
    held_.push_back(c);
    if (held_[1] == ' ' || held_[1] == '\t') {  // "=" and blanks: a soft break if a line ends here
      if (c == ' ' || c == '\t' || c == '\r') {
        if (held_.size() < 100) return;
      } else if (c == '\n') {
        return held_.clear();
      }
    } else if (held_[1] == '\r' && held_.size() == 2) {
      return;
    } else if (held_[1] == '\n' || (held_[1] == '\r' && c == '\n')) {
      return held_.clear();
    } else if (HexDigit(held_[1]) >= 0) {
      if (held_.size() == 2) return;
      if (HexDigit(held_[2]) >= 0) {
        out.push_back(static_cast<char>(HexDigit(held_[1]) * 16 + HexDigit(held_[2])));
        return held_.clear();
      }
    }
    out += held_;
    return held_.clear();
  }
  if (c == ' ' || c == '\t') {
    if (blanks_.size() > 1000) FlushBlanks(out);
    return blanks_.push_back(c);
  }
  if (c == '\r' || c == '\n') {
    blanks_.clear();
  } else {
    FlushBlanks(out);
  }
  if (c == '=') {
    held_ = c;
  } else {
    out.push_back(c);
  }
}

void QuotedPrintableDecoder::Decode(std::string_view chunk, std::string& out) {
  for (const char c : chunk) Byte(c, out);
}

void QuotedPrintableDecoder::Finish(std::string& out) {
  if (held_.size() > 1 && held_[1] != '\r' && held_[1] != ' ' && held_[1] != '\t') out += held_;
  held_.clear();
  blanks_.clear();
}

void BodyDecoder::Decode(std::string_view chunk, std::string& out) {
  switch (encoding_) {
    case TransferEncoding::kIdentity:
      out.append(chunk);
      return;
    case TransferEncoding::kBase64:
      base64_.Decode(chunk, out);
      return;
    case TransferEncoding::kQuotedPrintable:
      quoted_.Decode(chunk, out);
      return;
  }
}

void BodyDecoder::Finish(std::string& out) {
  base64_.Finish(out);
  quoted_.Finish(out);
}

std::string DecodeBody(std::string_view body, TransferEncoding encoding) {
  std::string out;
  BodyDecoder decoder(encoding);
  decoder.Decode(body, out);
  decoder.Finish(out);
  return out;
}

}  // namespace posthorn::mime
