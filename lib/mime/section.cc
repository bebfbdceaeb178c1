#include "lib/mime/section.h"

#include "lib/base/strings.h"

namespace posthorn::mime {
namespace {

std::optional<SectionText> ParseText(std::string_view text) {
  struct Name {
    std::string_view name;
    SectionText text;
  };
  static constexpr Name kNames[] = {{"HEADER", SectionText::kHeader},
                                    {"HEADER.FIELDS", SectionText::kHeaderFields},
                                    {"HEADER.FIELDS.NOT", SectionText::kHeaderFieldsNot},
                                    {"TEXT", SectionText::kText},
                                    {"MIME", SectionText::kMime}};
  for (const Name& name : kNames)
    if (base::EqualsIgnoreCase(name.name, text)) return name.text;
  return {};
}

Range Whole(const PartOffsets& part) {
  return {part.header_start, uint64_t{part.header_size} + part.body_size};
}

// What a client calls the message: the root, or the one inside a message part.
const PartOffsets* MessageIn(std::span<const PartOffsets> parts, uint32_t index) {
  if (parts[index].parent == kNoPart) return &parts[index];
  if (parts[index].kind != PartKind::kMessage) return nullptr;
  const uint32_t child = parts[index].first_child;
  return child < parts.size() ? &parts[child] : nullptr;
}

std::optional<Range> RangeOf(std::span<const PartOffsets> parts, uint32_t index,
                             const Section& section) {
  const PartOffsets& part = parts[index];
  const bool numbered = !section.part.empty();
  switch (section.text) {
    case SectionText::kWhole:
      if (!numbered) return Whole(part);
      return Range{part.body_start, part.body_size};
    case SectionText::kMime:
      return Range{part.header_start, part.header_size};
    case SectionText::kHeader:
    case SectionText::kHeaderFields:
    case SectionText::kHeaderFieldsNot:
    case SectionText::kText:
      break;
  }
  const PartOffsets* message =
      numbered && part.parent == kNoPart ? nullptr : MessageIn(parts, index);
  if (message == nullptr) return {};
  if (section.text == SectionText::kText) return Range{message->body_start, message->body_size};
  return Range{message->header_start, message->header_size};
}

}  // namespace

std::optional<Section> ParseSection(std::string_view text) {
  Section out;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    const size_t dot = text.find('.');
    const std::string_view digits = text.substr(0, dot);
    const auto number = base::ParseInt<uint32_t>(digits);
    if (!number || digits.front() == '0' || out.part.size() >= kMaxDepth * 2) return {};
    out.part.push_back(*number);
    if (dot == std::string_view::npos) return out;
    text.remove_prefix(dot + 1);
    if (text.empty()) return {};
  }
  if (text.empty()) return out;
  const std::optional<SectionText> name = ParseText(text);
  if (!name || (*name == SectionText::kMime && out.part.empty())) return {};
  out.text = *name;
  return out;
}

std::optional<uint32_t> FindPart(std::span<const PartOffsets> parts,
                                 std::span<const uint32_t> numbers) {
  if (parts.empty()) return {};
  uint32_t at = 0;
  bool entered = false;  // is `at` a message whose parts are counted next
  for (size_t i = 0; i < numbers.size(); ++i) {
    entered = i == 0;
    if (parts[at].kind == PartKind::kMessage && !entered) {
      at = parts[at].first_child;
      entered = true;
    }
    if (at >= parts.size()) return {};
    if (parts[at].kind == PartKind::kMultipart && parts[at].first_child != kNoPart) {
      uint32_t child = parts[at].first_child;
      for (uint32_t n = 1; n < numbers[i] && child < parts.size(); ++n)
        child = parts[child].next_sibling;
      if (child >= parts.size()) return {};
      at = child;
    } else if (!entered || numbers[i] != 1) {
      return {};  // only a message that is no multipart has a part 1 which is itself
    }
  }
  return at;
}

std::optional<Range> FindSection(std::span<const PartOffsets> parts, const Section& section,
                                 uint64_t prefix_size) {
  const std::optional<uint32_t> index = FindPart(parts, section.part);
  if (!index) return {};
  const std::optional<Range> range = RangeOf(parts, *index, section);
  if (!range) return {};
  // The prefix lies above the root's header, which therefore starts with it.
  const PartOffsets& part = parts[*index];
  const bool from_top = part.parent == kNoPart && (section.text != SectionText::kText) &&
                        !(section.text == SectionText::kWhole && !section.part.empty());
  if (from_top) return Range{0, range->size + prefix_size};
  return Range{range->start + prefix_size, range->size};
}

std::optional<Range> FindBody(std::span<const PartOffsets> parts, std::span<const uint32_t> numbers,
                              uint64_t prefix_size) {
  const std::optional<uint32_t> index = FindPart(parts, numbers);
  if (!index) return {};
  return Range{parts[*index].body_start + prefix_size, parts[*index].body_size};
}

std::vector<PartOffsets> Offsets(const Structure& structure) {
  return {structure.parts.begin(), structure.parts.end()};
}

}  // namespace posthorn::mime
