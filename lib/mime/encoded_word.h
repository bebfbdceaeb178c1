#pragma once

// Encoded words in header text [RFC2047]. Total, linear time.

#include <string>
#include <string_view>

namespace posthorn::mime {

// Unstructured text or a phrase, unfolded or not, as UTF-8: encoded words decoded, blanks between
// adjacent ones dropped [RFC2047 6.2], a letter split between two of them put together. What is
// not a well-formed encoded word stays; invalid bytes become U+FFFD.
std::string DecodeWords(std::string_view text);

// UTF-8 text for a header field: as it is when printable ASCII without "=?", else as UTF-8
// encoded words of at most 75 characters, joined by "\r\n " (to be placed behind "Name: ").
std::string EncodeWords(std::string_view text);

}  // namespace posthorn::mime
