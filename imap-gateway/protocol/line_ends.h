#pragma once

#include <string>
#include <string_view>

namespace posthorn::imap_gateway {

// Messages are stored with CRLF (deep-structures 14): an APPEND with bare LF gets the CR it lacks,
// whatever the pieces it arrives in. Bare CR stays, as it may be part of 8-bit text.
class LineEnds {
 public:
  std::string Convert(std::string_view piece) {
    std::string out;
    out.reserve(piece.size() + 16);
    for (const char c : piece) {
      if (c == '\n' && last_ != '\r') out.push_back('\r');
      out.push_back(c);
      last_ = c;
    }
    return out;
  }

 private:
  char last_ = '\0';
};

}  // namespace posthorn::imap_gateway
