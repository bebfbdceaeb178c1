#pragma once

// Transfer encodings [RFC2045 6]. Tolerant and incremental: input may be cut anywhere.

#include <cstdint>
#include <string>
#include <string_view>

namespace posthorn::mime {

enum class TransferEncoding { kIdentity, kBase64, kQuotedPrintable };

// "7bit", "8bit", "binary" and unknown names are kIdentity.
TransferEncoding ParseTransferEncoding(std::string_view field);

// What is not in the alphabet is skipped; "=" ends a quantum.
class Base64Decoder {
 public:
  void Decode(std::string_view chunk, std::string& out);
  void Finish(std::string&) { bits_ = count_ = 0; }

 private:
  uint32_t bits_ = 0;
  uint32_t count_ = 0;  // of characters in bits_
};

// A "=" without two digits stays as it is; blanks at the ends of lines are dropped.
class QuotedPrintableDecoder {
 public:
  void Decode(std::string_view chunk, std::string& out);
  void Finish(std::string& out);

 private:
  void Byte(char c, std::string& out);
  void FlushBlanks(std::string& out);

  std::string held_;    // "=" and what followed it so far
  std::string blanks_;  // kept back until the line goes on
};

class BodyDecoder {
 public:
  explicit BodyDecoder(TransferEncoding encoding) : encoding_(encoding) {}
  void Decode(std::string_view chunk, std::string& out);
  void Finish(std::string& out);

 private:
  const TransferEncoding encoding_;
  Base64Decoder base64_;
  QuotedPrintableDecoder quoted_;
};

std::string DecodeBody(std::string_view body, TransferEncoding encoding);

}  // namespace posthorn::mime
