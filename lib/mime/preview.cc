#include "lib/mime/preview.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"
#include "lib/mime/charset.h"
#include "lib/mime/decode.h"
#include "lib/mime/parameters.h"

namespace posthorn::mime {
namespace {

constexpr size_t kReadAtMost = 16 * 1024;

bool IsAttached(const Part& part) {
  return base::EqualsIgnoreCase(ParseDisposition(part.content.disposition).type, "attachment");
}

// Parts of a message inside say nothing about the message around it.
bool IsInsideMessage(const Structure& structure, const Part& part) {
  for (uint32_t at = part.parent; at != kNoPart; at = structure.parts[at].parent)
    if (structure.parts[at].kind == PartKind::kMessage) return true;
  return false;
}

const Part* FirstText(const Structure& structure, std::string_view subtype) {
  for (const Part& part : structure.parts) {
    if (part.kind == PartKind::kLeaf && part.body_size > 0 &&
        base::EqualsIgnoreCase(part.media_type, "text") &&
        base::EqualsIgnoreCase(part.media_subtype, subtype) && !IsAttached(part) &&
        !IsInsideMessage(structure, part))
      return &part;
  }
  return nullptr;
}

std::string Read(std::string_view message, const Part& part) {
  const std::string_view body =
      message.substr(part.body_start, std::min<size_t>(part.body_size, kReadAtMost));
  const std::string bytes = DecodeBody(body, ParseTransferEncoding(part.content.encoding));
  const ContentType type = ParseContentType(part.content.type);
  const Parameter* const charset = type.Find("charset");
  return ToUtf8(charset == nullptr ? "" : charset->value, bytes);
}

// One line of at most kPreviewCharacters characters, blanks collapsed.
std::string OneLine(std::string_view text) {
  std::string out;
  size_t characters = 0;
  bool blank = false;
  for (size_t at = 0; at < text.size() && characters < kPreviewCharacters;) {
    const size_t length = std::max<size_t>(1, mail::Utf8SequenceAt(text, at));
    const std::string_view character = text.substr(at, length);
    at += length;
    if (static_cast<unsigned char>(character[0]) <= 32 || character == "\xC2\xA0") {
      blank = !out.empty();
      continue;
    }
    if (blank) {
      out += ' ';
      ++characters;
      blank = false;
    }
    out += character;
    ++characters;
  }
  return out;
}

struct Entity {
  std::string_view name, text;
};
constexpr Entity kEntities[] = {{"&amp;", "&"},  {"&lt;", "<"},  {"&gt;", ">"},  {"&quot;", "\""},
                                {"&nbsp;", " "}, {"&#39;", "'"}, {"&apos;", "'"}};

// Behind the element that starts at `at` with "<name".
size_t SkipElement(std::string_view html, size_t at, std::string_view closing) {
  for (size_t end = html.find("</", at); end != std::string_view::npos;
       end = html.find("</", end + 2))
    if (base::StartsWithIgnoreCase(html.substr(end), closing)) return end;
  return html.size();
}

size_t SkipTag(std::string_view html, size_t at) {
  const std::string_view rest = html.substr(at);
  if (rest.starts_with("<!--")) {
    const size_t end = html.find("-->", at);
    return end == std::string_view::npos ? html.size() : end + 3;
  }
  if (base::StartsWithIgnoreCase(rest, "<script")) at = SkipElement(html, at, "</script");
  if (base::StartsWithIgnoreCase(rest, "<style")) at = SkipElement(html, at, "</style");
  if (base::StartsWithIgnoreCase(rest, "<title")) at = SkipElement(html, at, "</title");
  const size_t end = html.find('>', at);
  return end == std::string_view::npos ? html.size() : end + 1;
}

}  // namespace

std::string StripHtml(std::string_view html) {
  std::string out;
  for (size_t at = 0; at < html.size();) {
    if (html[at] == '<') {
      at = SkipTag(html, at);
      out += ' ';
      continue;
    }
    const Entity* found = nullptr;
    if (html[at] == '&') {
      for (const Entity& entity : kEntities)
        if (html.substr(at).starts_with(entity.name)) found = &entity;
    }
    if (found != nullptr) {
      out += found->text;
      at += found->name.size();
    } else {
      out += html[at++];
    }
  }
  return out;
}

std::string MakePreview(std::string_view message, const Structure& structure) {
  if (const Part* const plain = FirstText(structure, "plain"))
    return OneLine(Read(message, *plain));
  if (const Part* const html = FirstText(structure, "html"))
    return OneLine(StripHtml(Read(message, *html)));
  return {};
}

bool HasAttachments(const Structure& structure) {
  for (const Part& part : structure.parts) {
    if (part.kind == PartKind::kMultipart || IsInsideMessage(structure, part)) continue;
    if (IsAttached(part)) return true;
    if (part.kind != PartKind::kLeaf || base::EqualsIgnoreCase(part.media_type, "text")) continue;
    const bool shown_inside =
        part.parent != kNoPart &&
        (base::EqualsIgnoreCase(structure.parts[part.parent].media_subtype, "related") ||
         base::EqualsIgnoreCase(structure.parts[part.parent].media_subtype, "alternative") ||
         base::EqualsIgnoreCase(structure.parts[part.parent].media_subtype, "report"));
    const bool signature = base::ContainsIgnoreCase(part.media_subtype, "signature") ||
                           base::ContainsIgnoreCase(part.media_subtype, "pgp-encrypted");
    if (!shown_inside && !signature) return true;
  }
  return false;
}

}  // namespace posthorn::mime
