#pragma once

// UTF-8 as the mail standards want it [RFC3629 4]. Pure; never fails on garbage.

#include <cstddef>
#include <string>
#include <string_view>

namespace posthorn::mail {

bool IsAscii(std::string_view text);
// No overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);
// Length in bytes of the valid sequence that starts at `text[at]`; 0 when it is not valid.
size_t Utf8SequenceAt(std::string_view text, size_t at);
// Appends `text`, each invalid byte as U+FFFD.
void AppendAsUtf8(std::string_view text, std::string& out);

}  // namespace posthorn::mail
