#include "imap-gateway/protocol/fetch_items.h"

#include <array>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kMaxSections = 100;
constexpr size_t kMaxParts = 100;
constexpr size_t kMaxFields = 200;

struct NamedAttribute {
  std::string_view name;
  uint32_t attributes;
};
constexpr std::array<NamedAttribute, 12> kAttributes = {
    {{"UID", kFetchUid},
     {"FLAGS", kFetchFlags},
     {"INTERNALDATE", kFetchInternalDate},
     {"RFC822.SIZE", kFetchSize},
     {"ENVELOPE", kFetchEnvelope},
     {"BODYSTRUCTURE", kFetchBodyStructure},
     {"BODY", kFetchBody},
     {"MODSEQ", kFetchModSeq},
     {"SAVEDATE", kFetchSaveDate},
     {"ALL", kFetchFlags | kFetchInternalDate | kFetchSize | kFetchEnvelope},
     {"FAST", kFetchFlags | kFetchInternalDate | kFetchSize},
     {"FULL", kFetchFlags | kFetchInternalDate | kFetchSize | kFetchEnvelope | kFetchBody}}};
constexpr size_t kFirstMacro = 9;

// header-list = "(" header-fld-name *(SP header-fld-name) ")"
absl::Status ParseFields(Scanner& scan, FetchSection& section) {
  RETURN_IF_ERROR(scan.Space());
  RETURN_IF_ERROR(scan.Expect('('));
  do {
    ASSIGN_OR_RETURN(const std::string field, scan.Astring());
    if (section.fields.size() == kMaxFields) return base::Invalid("too many header fields");
    section.fields.push_back(base::Upper(field));
  } while (scan.Eat(' '));
  return scan.Expect(')');
}

// section-spec = section-msgtext / (section-part ["." section-text])
absl::Status ParseSectionSpec(Scanner& scan, FetchSection& section) {
  while (scan.Peek() >= '0' && scan.Peek() <= '9') {
    ASSIGN_OR_RETURN(const uint32_t number, scan.NzNumber());
    if (section.part.size() == kMaxParts) return base::Invalid("section too deep");
    section.part.push_back(number);
    if (scan.Peek() == ']') return absl::OkStatus();
    RETURN_IF_ERROR(scan.Expect('.'));
  }
  using Kind = FetchSection::Kind;
  if (scan.EatWord("HEADER.FIELDS.NOT")) {
    section.kind = Kind::kHeaderFieldsNot;
    return ParseFields(scan, section);
  }
  if (scan.EatWord("HEADER.FIELDS")) {
    section.kind = Kind::kHeaderFields;
    return ParseFields(scan, section);
  }
  if (scan.EatWord("HEADER")) {
    section.kind = Kind::kHeader;
  } else if (scan.EatWord("TEXT")) {
    section.kind = Kind::kText;
  } else if (!section.part.empty() && scan.EatWord("MIME")) {
    section.kind = Kind::kMime;
  } else {
    return scan.Fail("a section");
  }
  return absl::OkStatus();
}

std::string LabelOf(const FetchSection& section) {
  std::string out = "BODY[";
  for (size_t i = 0; i < section.part.size(); ++i)
    base::StrAppend(out, i == 0 ? "" : ".", section.part[i]);
  static constexpr std::string_view kKinds[] = {
      "", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"};
  const std::string_view kind = kKinds[static_cast<size_t>(section.kind)];
  if (!section.part.empty() && !kind.empty()) out.push_back('.');
  out.append(kind);
  if (!section.fields.empty()) {
    out.append(" (");
    for (size_t i = 0; i < section.fields.size(); ++i) {
      if (i > 0) out.push_back(' ');
      const std::string& field = section.fields[i];
      bool atom = !field.empty();
      for (const char c : field) atom = atom && IsAstringChar(c);
      // A field name that is no atom goes back as a quoted string; control characters cannot match
      // any field.
      std::string safe;
      for (const char c : field) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) continue;
        if (!atom && (c == '"' || c == '\\')) safe.push_back('\\');
        safe.push_back(c);
      }
      base::StrAppend(out, atom ? "" : "\"", safe, atom ? "" : "\"");
    }
    out.push_back(')');
  }
  out.push_back(']');
  if (section.offset) base::StrAppend(out, "<", *section.offset, ">");
  return out;
}

// ["<" number64 "." nz-number64 ">"] behind the section; then the label is known.
absl::Status ParsePartial(Scanner& scan, FetchSection& section) {
  if (scan.Eat('<')) {
    ASSIGN_OR_RETURN(section.offset, scan.Number64());
    RETURN_IF_ERROR(scan.Expect('.'));
    ASSIGN_OR_RETURN(section.length, scan.Number64());
    if (section.length == 0) return scan.Fail("a length above zero");
    RETURN_IF_ERROR(scan.Expect('>'));
  }
  section.label = LabelOf(section);
  return absl::OkStatus();
}

absl::Status ParseBrackets(Scanner& scan, FetchItems& items, bool peek) {
  FetchSection section;
  section.peek = peek;
  if (!scan.Eat(']')) {
    RETURN_IF_ERROR(ParseSectionSpec(scan, section));
    RETURN_IF_ERROR(scan.Expect(']'));
  }
  RETURN_IF_ERROR(ParsePartial(scan, section));
  items.sections.push_back(std::move(section));
  return absl::OkStatus();
}

bool ParseRfc822(Scanner& scan, FetchItems& items) {
  using Kind = FetchSection::Kind;
  FetchSection section;
  if (scan.EatWord("RFC822.HEADER")) {
    section.kind = Kind::kHeader;
    section.peek = true;
    section.label = "RFC822.HEADER";
  } else if (scan.EatWord("RFC822.TEXT")) {
    section.kind = Kind::kText;
    section.label = "RFC822.TEXT";
  } else if (scan.EatWord("RFC822")) {
    section.label = "RFC822";
  } else {
    return false;
  }
  items.sections.push_back(std::move(section));
  return true;
}

enum class Macros { kNo, kYes };

absl::Status ParseItem(Scanner& scan, FetchItems& items, Macros macros) {
  if (items.sections.size() == kMaxSections) return base::Invalid("too many items");
  if (scan.EatWord("BODY.PEEK[")) return ParseBrackets(scan, items, true);
  if (scan.EatWord("BODY[")) return ParseBrackets(scan, items, false);
  const size_t limit = macros == Macros::kYes ? kAttributes.size() : kFirstMacro;
  for (size_t i = 0; i < limit; ++i) {
    if (!scan.EatWord(kAttributes[i].name)) continue;
    items.attributes |= kAttributes[i].attributes;
    return absl::OkStatus();
  }
  if (ParseRfc822(scan, items)) return absl::OkStatus();
  return scan.Fail("something to fetch");
}

}  // namespace

absl::StatusOr<FetchItems> ParseFetchItems(Scanner& scan) {
  FetchItems items;
  if (!scan.Eat('(')) {
    RETURN_IF_ERROR(ParseItem(scan, items, Macros::kYes));
    return items;
  }
  do {
    RETURN_IF_ERROR(ParseItem(scan, items, Macros::kNo));
  } while (scan.Eat(' '));
  RETURN_IF_ERROR(scan.Expect(')'));
  return items;
}

}  // namespace posthorn::imap_gateway
