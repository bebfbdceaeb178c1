#pragma once

// IMAP section specifiers [RFC9051 6.4.5.1] and the bytes they stand for. Pure, total.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lib/mime/structure.h"

namespace posthorn::mime {

enum class SectionText {
  kWhole,            // "" or "1.2"
  kHeader,           // "HEADER", "1.2.HEADER"
  kHeaderFields,     // "HEADER.FIELDS": the bytes of HEADER, to be filtered by the caller
  kHeaderFieldsNot,  // "HEADER.FIELDS.NOT": the same
  kText,             // "TEXT", "1.2.TEXT"
  kMime,             // "1.2.MIME"
};

struct Section {
  std::vector<uint32_t> part;  // "1.2" as {1, 2}; empty: the message itself
  SectionText text = SectionText::kWhole;
};

// What stands between the brackets, up to a header list, without case. Nothing on a syntax error:
// "0", "1..2", "MIME" without a part, more than kMaxDepth * 2 numbers.
std::optional<Section> ParseSection(std::string_view text);

struct Range {
  uint64_t start = 0;
  uint64_t size = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

// The index of a part named by numbers, as clients count: a message inside counts its own parts.
std::optional<uint32_t> FindPart(std::span<const PartOffsets> parts,
                                 std::span<const uint32_t> numbers);
// The bytes of a section in prefix + blob, given offsets that count from the blob's start.
// Nothing when there is no such part, or a part has no such text (HEADER of a text part).
std::optional<Range> FindSection(std::span<const PartOffsets> parts, const Section& section,
                                 uint64_t prefix_size = 0);
// The same for the part's own transfer-encoded body, as BINARY wants it [RFC9051 6.4.5].
std::optional<Range> FindBody(std::span<const PartOffsets> parts, std::span<const uint32_t> numbers,
                              uint64_t prefix_size = 0);

// Copies of a structure's offsets, for the functions above.
std::vector<PartOffsets> Offsets(const Structure& structure);

}  // namespace posthorn::mime
