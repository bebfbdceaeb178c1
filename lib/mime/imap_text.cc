#include "lib/mime/imap_text.h"

#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/mail/utf8.h"
#include "lib/mime/header.h"
#include "lib/mime/parameters.h"

namespace posthorn::mime {
namespace {

using base::StrAppend;

void AppendUpper(std::string_view text, std::string& out) {
  AppendImapString(base::Upper(text), out);
}

// A field's raw value, unfolded.
void AppendField(std::string_view raw, std::string& out) {
  if (raw.data() == nullptr) {
    out += "NIL";
    return;
  }
  std::string buffer;
  AppendImapString(UnfoldView(raw, buffer), out);
}

void AppendOrNil(const std::string& text, std::string& out) {
  if (text.empty()) {
    out += "NIL";
  } else {
    AppendImapString(text, out);
  }
}

// address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
void AppendAddress(const mail::Address& address, std::string& out) {
  switch (address.kind) {
    case mail::AddressKind::kGroupStart:  // a host of NIL marks a group
      out += "(NIL NIL ";
      AppendImapString(address.name, out);
      out += " NIL)";
      return;
    case mail::AddressKind::kGroupEnd:
      out += "(NIL NIL NIL NIL)";
      return;
    case mail::AddressKind::kMailbox:
      break;
  }
  out += '(';
  AppendOrNil(address.name, out);
  out += ' ';
  AppendOrNil(address.route, out);
  out += ' ';
  AppendImapString(address.local, out);
  out += ' ';
  AppendImapString(address.domain, out);
  out += ')';
}

// False, and nothing written, when the list has no address.
bool AppendList(std::string_view raw, std::string& out) {
  const std::vector<mail::Address> list = mail::ParseAddressList(raw);
  if (list.empty()) return false;
  out += '(';
  for (const mail::Address& address : list) AppendAddress(address, out);
  out += ')';
  return true;
}

void AppendListOrNil(std::string_view raw, std::string& out) {
  if (!AppendList(raw, out)) out += "NIL";
}

void AppendParameters(const std::vector<Parameter>& parameters, std::string& out) {
  if (parameters.empty()) {
    out += "NIL";
    return;
  }
  char before = '(';
  for (const Parameter& parameter : parameters) {
    out += before;
    before = ' ';
    // Continuations are joined as [RFC2231 6] asks; an encoded value keeps its encoded form.
    AppendImapString(base::Upper(parameter.name) + (parameter.extended ? "*" : ""), out);
    out += ' ';
    if (!parameter.extended) {
      AppendImapString(parameter.value, out);
      continue;
    }
    std::string value = base::StrCat(parameter.charset, '\'', parameter.language, '\'');
    for (const char c : parameter.value) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
      if (plain) {
        value += c;
      } else {
        StrAppend(value, '%', base::Upper(base::Hex(std::string_view(&c, 1))));
      }
    }
    AppendImapString(value, out);
  }
  out += ')';
}

std::vector<Parameter> ParametersOf(std::string_view content_type) {
  return ParseContentType(content_type).parameters;
}

// body-fld-dsp = "(" string SP body-fld-param ")" / nil
void AppendDisposition(std::string_view raw, std::string& out) {
  const Disposition disposition = ParseDisposition(raw);
  if (disposition.type.empty()) {
    out += "NIL";
    return;
  }
  out += '(';
  AppendUpper(disposition.type, out);
  out += ' ';
  AppendParameters(disposition.parameters, out);
  out += ')';
}

// body-fld-lang = nstring / "(" string *(SP string) ")"
void AppendLanguages(std::string_view raw, std::string& out) {
  std::string buffer;
  char before = '(';
  for (const std::string_view tag : base::Split(UnfoldView(raw, buffer), ',')) {
    const std::string_view trimmed = base::Trim(tag);
    if (trimmed.empty()) continue;
    out += before;
    before = ' ';
    AppendImapString(trimmed, out);
  }
  out += before == '(' ? "NIL" : ")";
}

class BodyWriter {
 public:
  BodyWriter(const Structure& structure, Extensible extensible, std::string& out)
      : structure_(structure), extensible_(extensible), out_(out) {}

  // Recursion is bounded by kMaxDepth.
  void Write(uint32_t index) {
    const Part& part = structure_.parts[index];
    out_ += '(';
    if (part.kind == PartKind::kMultipart) {
      Multipart(part);
    } else {
      Single(part);
    }
    out_ += ')';
  }

 private:
  void Multipart(const Part& part) {
    // The grammar wants at least one part; a multipart without any gets an empty text.
    if (part.first_child == kNoPart) out_ += "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)";
    for (uint32_t c = part.first_child; c != kNoPart; c = structure_.parts[c].next_sibling)
      Write(c);
    out_ += ' ';
    AppendUpper(part.media_subtype, out_);
    if (extensible_ == Extensible::kNo) return;
    out_ += ' ';
    AppendParameters(ParametersOf(part.content.type), out_);
    DispositionToLocation(part);
  }

  void Single(const Part& part) {
    const bool text = base::EqualsIgnoreCase(part.media_type, "text");
    const bool message = part.kind == PartKind::kMessage;
    // A message we did not look into has no envelope to show, which its type would demand.
    const bool opaque = !message && base::EqualsIgnoreCase(part.media_type, "message") &&
                        (base::EqualsIgnoreCase(part.media_subtype, "rfc822") ||
                         base::EqualsIgnoreCase(part.media_subtype, "global"));
    AppendUpper(opaque ? "application" : part.media_type, out_);
    out_ += ' ';
    AppendUpper(opaque ? "octet-stream" : part.media_subtype, out_);
    out_ += ' ';
    AppendParameters(ParametersOf(part.content.type), out_);
    out_ += ' ';
    AppendField(part.content.id, out_);
    out_ += ' ';
    AppendField(part.content.description, out_);
    out_ += ' ';
    Encoding(part.content.encoding);
    StrAppend(out_, ' ', part.body_size);
    if (message) {
      const Part& inside = structure_.parts[part.first_child];
      out_ += ' ';
      WriteEnvelope(structure_.envelopes[inside.envelope], out_);
      out_ += ' ';
      Write(part.first_child);
    }
    if (text || message) StrAppend(out_, ' ', part.body_lines);
    if (extensible_ == Extensible::kNo) return;
    out_ += ' ';
    AppendField(part.content.md5, out_);
    DispositionToLocation(part);
  }

  void Encoding(std::string_view raw) {
    const std::string_view name = base::Trim(raw.substr(0, raw.find_first_of(";(")));
    AppendUpper(name.empty() ? "7bit" : name, out_);
  }

  void DispositionToLocation(const Part& part) {
    out_ += ' ';
    AppendDisposition(part.content.disposition, out_);
    out_ += ' ';
    AppendLanguages(part.content.language, out_);
    out_ += ' ';
    AppendField(part.content.location, out_);
  }

  const Structure& structure_;
  const Extensible extensible_;
  std::string& out_;
};

}  // namespace

void AppendImapString(std::string_view text, std::string& out) {
  bool quotable = text.size() <= 4096 && mail::IsAscii(text);
  bool escapes = false;
  size_t nuls = 0;
  for (const char c : text) {
    if (c == '\r' || c == '\n') quotable = false;
    if (c == '"' || c == '\\') escapes = true;
    if (c == '\0') ++nuls;
  }
  if (!quotable) StrAppend(out, '{', text.size() - nuls, "}\r\n");
  if (quotable) out += '"';
  if (nuls == 0 && !(quotable && escapes)) {
    out += text;
  } else {
    for (const char c : text) {
      if (c == '\0') continue;
      if (quotable && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
  if (quotable) out += '"';
}

void AppendImapNString(std::string_view text, std::string& out) {
  if (text.data() == nullptr) {
    out += "NIL";
  } else {
    AppendImapString(text, out);
  }
}

void WriteEnvelope(const EnvelopeFields& fields, std::string& out) {
  out += '(';
  AppendField(fields.date, out);
  out += ' ';
  AppendField(fields.subject, out);
  out += ' ';
  std::string from;
  AppendListOrNil(fields.from, from);
  // An absent or empty Sender or Reply-To is shown as From [RFC9051 7.5.2].
  StrAppend(out, from, ' ');
  if (!AppendList(fields.sender, out)) out += from;
  out += ' ';
  if (!AppendList(fields.reply_to, out)) out += from;
  for (const std::string_view list : {fields.to, fields.cc, fields.bcc}) {
    out += ' ';
    AppendListOrNil(list, out);
  }
  out += ' ';
  AppendField(fields.in_reply_to, out);
  out += ' ';
  AppendField(fields.message_id, out);
  out += ')';
}

void WriteBodyStructure(const Structure& structure, uint32_t index, Extensible extensible,
                        std::string& out) {
  BodyWriter(structure, extensible, out).Write(index);
}

}  // namespace posthorn::mime
