#pragma once

// The texts of IMAP's ENVELOPE, BODY and BODYSTRUCTURE [RFC9051 7.5.2]. Header text stays as the
// sender encoded it; 8-bit and long texts become literals. Pure, total, linear.

#include <string>
#include <string_view>

#include "lib/mime/structure.h"

namespace posthorn::mime {

enum class Extensible { kNo, kYes };  // BODY, BODYSTRUCTURE

// A quoted string, or a literal when `text` cannot be one. NULs are dropped.
void AppendImapString(std::string_view text, std::string& out);
// NIL when data() is nullptr.
void AppendImapNString(std::string_view text, std::string& out);

void WriteEnvelope(const EnvelopeFields& fields, std::string& out);
// The text of part `index` and of all below it.
void WriteBodyStructure(const Structure& structure, uint32_t index, Extensible extensible,
                        std::string& out);

}  // namespace posthorn::mime
