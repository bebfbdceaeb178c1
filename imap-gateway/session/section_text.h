#pragma once

// Where the bytes of BODY[…] lie, and what is shown of them. Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imap-gateway/protocol/fetch_items.h"

namespace posthorn::imap_gateway {

// Longest header that is gathered in memory, bytes.
inline constexpr size_t kMaxGatheredSection = 8 << 20;

struct PlannedSection {
  bool exists = true;        // false: NIL
  bool read = false;         // bytes are to be read; false: empty or NIL
  bool header_only = false;  // the message's header, whatever its length
  bool whole = false;        // gather all, then FinishSection
  uint64_t offset = 0;       // in prefix + blob
  uint64_t length = 0;       // 0: to the end
};

bool SectionNeedsDigest(const FetchSection& section);
// `digest` may be empty when no section needs it; `size` is that of the whole message.
std::vector<PlannedSection> PlanSections(const std::vector<FetchSection>& sections,
                                         std::string_view digest, uint32_t prefix_size,
                                         uint64_t size);
// A gathered header as it is shown: fields chosen, partial cut out.
std::string FinishSection(const FetchSection& section, std::string text);

}  // namespace posthorn::imap_gateway
