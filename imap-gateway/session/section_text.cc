#include "imap-gateway/session/section_text.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/mime/digest.h"
#include "lib/mime/header.h"

namespace posthorn::imap_gateway {
namespace {

using Kind = FetchSection::Kind;

bool IsHeader(Kind kind) {
  return kind == Kind::kHeader || kind == Kind::kHeaderFields || kind == Kind::kHeaderFieldsNot;
}

mime::SectionText TextOf(Kind kind) {
  switch (kind) {
    case Kind::kAll:
      return mime::SectionText::kWhole;
    case Kind::kHeader:
      return mime::SectionText::kHeader;
    case Kind::kHeaderFields:
      return mime::SectionText::kHeaderFields;
    case Kind::kHeaderFieldsNot:
      return mime::SectionText::kHeaderFieldsNot;
    case Kind::kText:
      return mime::SectionText::kText;
    case Kind::kMime:
      return mime::SectionText::kMime;
  }
  return mime::SectionText::kWhole;
}

// [RFC9051 6.4.5.1] <offset.length> of a range that begins at `start`.
PlannedSection Cut(const FetchSection& section, uint64_t start, uint64_t size) {
  PlannedSection planned;
  const uint64_t skipped = std::min(section.offset.value_or(0), size);
  planned.offset = start + skipped;
  planned.length = size - skipped;
  if (section.offset) planned.length = std::min(planned.length, section.length);
  planned.read = planned.length > 0;
  return planned;
}

PlannedSection Plan(const FetchSection& section, std::span<const mime::PartOffsets> parts,
                    uint32_t prefix_size, uint64_t size) {
  PlannedSection planned;
  if (section.part.empty() && IsHeader(section.kind)) {
    planned.read = planned.header_only = planned.whole = true;
    return planned;
  }
  if (section.part.empty() && section.kind == Kind::kAll) {
    if (section.offset) return Cut(section, 0, size);
    planned.read = true;
    return planned;
  }
  const auto range = mime::FindSection(parts, {section.part, TextOf(section.kind)}, prefix_size);
  if (!range) {
    planned.exists = false;
    return planned;
  }
  if (section.kind == Kind::kHeaderFields || section.kind == Kind::kHeaderFieldsNot) {
    planned.offset = range->start;
    planned.length = range->size;
    planned.read = planned.length > 0;
    planned.whole = true;
    return planned;
  }
  return Cut(section, range->start, range->size);
}

}  // namespace

bool SectionNeedsDigest(const FetchSection& section) {
  return !section.part.empty() || section.kind == Kind::kText;
}

std::vector<PlannedSection> PlanSections(const std::vector<FetchSection>& sections,
                                         std::string_view digest, uint32_t prefix_size,
                                         uint64_t size) {
  std::vector<mime::PartOffsets> parts;
  if (const auto view = digest.empty() ? std::nullopt : mime::DigestView::Open(digest))
    parts = view->Parts();
  std::vector<PlannedSection> planned;
  planned.reserve(sections.size());
  for (const FetchSection& section : sections)
    planned.push_back(Plan(section, parts, prefix_size, size));
  return planned;
}

std::string FinishSection(const FetchSection& section, std::string text) {
  if (section.kind == Kind::kHeaderFields || section.kind == Kind::kHeaderFieldsNot) {
    std::string chosen;
    mime::FieldReader reader(text);
    mime::Field field;
    while (reader.Next(field)) {
      const std::string name = base::Upper(field.name);
      const bool named =
          std::find(section.fields.begin(), section.fields.end(), name) != section.fields.end();
      if (named != (section.kind == Kind::kHeaderFields)) continue;
      chosen.append(text, field.offset, field.size);
      if (!chosen.ends_with('\n')) chosen.append("\r\n");
    }
    // [RFC9051 6.4.5.1] the blank line belongs to it.
    chosen.append("\r\n");
    text = std::move(chosen);
  }
  if (!section.offset) return text;
  if (*section.offset >= text.size()) return {};
  return text.substr(*section.offset, section.length);
}

}  // namespace posthorn::imap_gateway
