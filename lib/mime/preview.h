#pragma once

#include <string>
#include <string_view>

#include "lib/mime/structure.h"

namespace posthorn::mime {

inline constexpr size_t kPreviewCharacters = 200;

// The beginning of the first text a person would read, as UTF-8 on one line: text/plain before
// text/html, whose tags are left out; no attachments. Empty when there is none. Reads at most
// 16 KiB of the part.
std::string MakePreview(std::string_view message, const Structure& structure);

// Whether a person would say that something is attached: a part with disposition "attachment", or
// one that is no text, no signature and not shown inside of another.
bool HasAttachments(const Structure& structure);

// HTML as plain text: tags, scripts, styles and comments left out, common entities decoded.
std::string StripHtml(std::string_view html);

}  // namespace posthorn::mime
