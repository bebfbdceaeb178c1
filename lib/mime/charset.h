#pragma once

// Text of any charset to UTF-8, by ICU. Total: what cannot be read becomes U+FFFD.

#include <string>
#include <string_view>

namespace posthorn::mime {

// An unknown or empty charset is read as UTF-8. Converters are kept for each thread.
std::string ToUtf8(std::string_view charset, std::string_view bytes);
void AppendToUtf8(std::string_view charset, std::string_view bytes, std::string& out);

}  // namespace posthorn::mime
