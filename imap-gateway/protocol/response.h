#pragma once

// Pieces of responses, appended to a buffer.

#include <cstdint>
#include <string>
#include <string_view>

namespace posthorn::imap_gateway {

void AppendNumber(std::string& out, uint64_t number);
// quoted when it can be, else a literal ([RFC9051 9] string).
void AppendString(std::string& out, std::string_view text);
// A UTF-8 mailbox name in modified UTF-7, as an atom or quoted.
void AppendMailbox(std::string& out, std::string_view name);
// `text` without control characters and at most 300 bytes, for resp-text.
std::string SafeText(std::string_view text);

}  // namespace posthorn::imap_gateway
