#include "lib/mime/structure.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "lib/base/strings.h"
#include "lib/mime/decode.h"
#include "lib/mime/header.h"
#include "lib/mime/parameters.h"

namespace posthorn::mime {
namespace {

uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ULL;
  return hash;
}

// A multipart whose boundaries are looked for. The hash keeps a body full of lines that look like
// boundaries cheap even below a hundred open multiparts.
struct OpenMultipart {
  uint32_t part;
  uint64_t hash;
  std::string boundary;
};

struct Match {
  size_t index;  // into the open multiparts
  bool closing;
};

struct FieldSlot {
  std::string_view name;
  std::string_view ContentFields::* content;
  std::string_view EnvelopeFields::* envelope;
};
constexpr FieldSlot kSlots[] = {
    {"content-type", &ContentFields::type, nullptr},
    {"content-transfer-encoding", &ContentFields::encoding, nullptr},
    {"content-disposition", &ContentFields::disposition, nullptr},
    {"content-id", &ContentFields::id, nullptr},
    {"content-description", &ContentFields::description, nullptr},
    {"content-md5", &ContentFields::md5, nullptr},
    {"content-language", &ContentFields::language, nullptr},
    {"content-location", &ContentFields::location, nullptr},
    {"date", nullptr, &EnvelopeFields::date},
    {"subject", nullptr, &EnvelopeFields::subject},
    {"from", nullptr, &EnvelopeFields::from},
    {"sender", nullptr, &EnvelopeFields::sender},
    {"reply-to", nullptr, &EnvelopeFields::reply_to},
    {"to", nullptr, &EnvelopeFields::to},
    {"cc", nullptr, &EnvelopeFields::cc},
    {"bcc", nullptr, &EnvelopeFields::bcc},
    {"in-reply-to", nullptr, &EnvelopeFields::in_reply_to},
    {"message-id", nullptr, &EnvelopeFields::message_id},
    {"references", nullptr, &EnvelopeFields::references},
};

void Set(std::string_view& slot, std::string_view value) {
  if (slot.data() == nullptr) slot = value;
}

class Parser {
 public:
  explicit Parser(std::string_view message) : text_(message.substr(0, kMaxMessageSize)) {}

  Structure Run() {
    Begin(kNoPart, Default::kText);
    while (at_ < text_.size()) Body();
    Close(kNoPart, text_.size(), line_);
    return std::move(out_);
  }

 private:
  enum class Default { kText, kMessage };

  // Starts a part at at_, reads its header, and the message inside when it is one.
  void Begin(uint32_t parent, Default type) {
    for (;;) {
      current_ = static_cast<uint32_t>(out_.parts.size());
      Link(parent);
      const bool is_message = parent == kNoPart || out_.parts[parent].kind == PartKind::kMessage;
      if (is_message) {
        out_.parts[current_].envelope = static_cast<uint32_t>(out_.envelopes.size());
        out_.envelopes.emplace_back();
      }
      ReadHeader();
      Classify(type);
      if (out_.parts[current_].kind != PartKind::kMessage) return;
      parent = current_;
      type = Default::kText;
    }
  }

  void Link(uint32_t parent) {
    Part& part = out_.parts.emplace_back();
    part.parent = parent;
    part.header_start = static_cast<uint32_t>(at_);
    depth_.push_back(parent == kNoPart ? 0 : depth_[parent] + 1);
    last_child_.push_back(kNoPart);
    if (parent == kNoPart) return;
    if (last_child_[parent] == kNoPart) {
      out_.parts[parent].first_child = current_;
    } else {
      out_.parts[last_child_[parent]].next_sibling = current_;
    }
    last_child_[parent] = current_;
  }

  void ReadHeader() {
    Part& part = out_.parts[current_];
    EnvelopeFields* const envelope =
        part.envelope == kNoPart ? nullptr : &out_.envelopes[part.envelope];
    // The header also ends at a boundary of an open multipart: the blank line was forgotten.
    FieldReader reader(text_.substr(at_));
    const size_t start = at_;
    Field field;
    size_t end = start;
    while (!AtBoundary(start + reader.position())) {
      const bool more = reader.Next(field);
      end = start + reader.position();
      if (!more) break;
      Note(field, part.content, envelope);
    }
    line_ += static_cast<uint64_t>(std::count(text_.begin() + static_cast<ptrdiff_t>(start),
                                              text_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    at_ = end;
    part.header_size = static_cast<uint32_t>(end - start);
    part.body_start = static_cast<uint32_t>(end);
    body_line_.push_back(line_);
  }

  static void Note(const Field& field, ContentFields& content, EnvelopeFields* envelope) {
    if (field.name.size() < 2 || field.name.size() > 25) return;
    const char first = base::ToLower(field.name[0]);
    for (const FieldSlot& slot : kSlots) {
      if (slot.name[0] != first || slot.name.size() != field.name.size()) continue;
      if (!base::EqualsIgnoreCase(slot.name, field.name)) continue;
      if (slot.content != nullptr) Set(content.*slot.content, field.value);
      if (slot.envelope != nullptr && envelope != nullptr)
        Set(envelope->*slot.envelope, field.value);
      return;
    }
  }

  // Type, defaults [RFC2045 5.2, RFC2046 5.1.5], and whether to look inside.
  void Classify(Default type) {
    Part& part = out_.parts[current_];
    ParameterReader reader(part.content.type);
    part.media_type = reader.Token();
    if (reader.Slash()) part.media_subtype = reader.Token();
    if (part.media_type.empty() || part.media_subtype.empty()) {
      part.media_type = type == Default::kText ? "text" : "message";
      part.media_subtype = type == Default::kText ? "plain" : "rfc822";
    }
    const bool full = depth_[current_] >= kMaxDepth || out_.parts.size() >= kMaxParts;
    if (base::EqualsIgnoreCase(part.media_type, "multipart")) {
      part.kind = PartKind::kMultipart;
      if (!full) OpenBoundary(reader);
    } else if (base::EqualsIgnoreCase(part.media_type, "message") && !full &&
               (base::EqualsIgnoreCase(part.media_subtype, "rfc822") ||
                base::EqualsIgnoreCase(part.media_subtype, "global")) &&
               ParseTransferEncoding(part.content.encoding) == TransferEncoding::kIdentity) {
      part.kind = PartKind::kMessage;
    }
  }

  void OpenBoundary(ParameterReader& reader) {
    RawParameter parameter;
    for (size_t i = 0; i < kMaxParameters && reader.Next(parameter); ++i) {
      // Nobody writes a boundary in pieces; its extended form is no boundary anyone reads.
      if (!base::EqualsIgnoreCase(parameter.name, "boundary")) continue;
      std::string boundary = std::move(parameter.value);
      while (!boundary.empty() && (boundary.back() == ' ' || boundary.back() == '\t'))
        boundary.pop_back();
      if (boundary.empty()) return;
      const uint64_t hash = Hash(boundary);
      open_.push_back({current_, hash, std::move(boundary)});
      return;
    }
  }

  // Reads on to the next boundary of an open multipart, or to the end.
  void Body() {
    if (open_.empty()) {
      line_ += static_cast<uint64_t>(
          std::count(text_.begin() + static_cast<ptrdiff_t>(at_), text_.end(), '\n'));
      at_ = text_.size();
      return;
    }
    while (at_ < text_.size()) {
      const size_t start = at_;
      const void* lf = std::memchr(text_.data() + at_, '\n', text_.size() - at_);
      const size_t line_end =
          lf == nullptr ? text_.size()
                        : static_cast<size_t>(static_cast<const char*>(lf) - text_.data()) + 1;
      Match match;
      if (text_[start] == '-' && MatchLine(text_.substr(start, line_end - start), match)) {
        const uint64_t boundary_line = line_;
        at_ = line_end;
        line_ += lf == nullptr ? 0 : 1;
        if (AtMatch(match, start, boundary_line)) return;
        continue;
      }
      at_ = line_end;
      line_ += lf == nullptr ? 0 : 1;
    }
  }

  // False when a line is no news: another boundary after the last part that may be counted.
  bool AtMatch(const Match& match, size_t start, uint64_t line) {
    const uint32_t multipart = open_[match.index].part;
    if (!match.closing && out_.parts.size() >= kMaxParts) return false;
    size_t end = start;
    if (end > 0 && text_[end - 1] == '\n') {
      --end;
      if (end > 0 && text_[end - 1] == '\r') --end;
    }
    Close(multipart, end, line);
    open_.resize(match.index + (match.closing ? 0 : 1));
    if (match.closing) return true;
    const bool digest = base::EqualsIgnoreCase(out_.parts[multipart].media_subtype, "digest");
    Begin(multipart, digest ? Default::kMessage : Default::kText);
    return true;
  }

  // Ends the current part and its parents below `until`, whose line break before `end` is not
  // theirs; `until` becomes the current one.
  void Close(uint32_t until, size_t end, uint64_t line) {
    for (; current_ != until; current_ = out_.parts[current_].parent) {
      Part& part = out_.parts[current_];
      // An empty body: the line break belongs to the header.
      const bool empty = end < part.body_start;
      part.body_size = empty ? 0 : static_cast<uint32_t>(end - part.body_start);
      const uint64_t taken = end < text_.size() && !empty ? 1 : 0;
      part.body_lines = static_cast<uint32_t>(
          std::max<int64_t>(0, static_cast<int64_t>(line - body_line_[current_] - taken)));
    }
  }

  bool AtBoundary(size_t at) const {
    if (open_.empty() || at >= text_.size() || text_[at] != '-') return false;
    const size_t lf = text_.find('\n', at);
    Match match;
    return MatchLine(text_.substr(at, lf - at), match);
  }

  // "--" boundary ["--"] *LWSP; the innermost multipart first.
  bool MatchLine(std::string_view line, Match& match) const {
    if (!line.starts_with("--")) return false;
    size_t size = line.size();
    while (size > 2 && (line[size - 1] == '\n' || line[size - 1] == '\r' || line[size - 1] == ' ' ||
                        line[size - 1] == '\t'))
      --size;
    const std::string_view open = line.substr(2, size - 2);
    const std::string_view close =
        open.ends_with("--") ? open.substr(0, open.size() - 2) : std::string_view();
    const uint64_t open_hash = Hash(open);
    const uint64_t close_hash = close.empty() ? 0 : Hash(close);
    for (size_t i = open_.size(); i-- > 0;) {
      const OpenMultipart& candidate = open_[i];
      if (candidate.hash == open_hash && candidate.boundary == open) {
        match = {i, false};
        return true;
      }
      if (!close.empty() && candidate.hash == close_hash && candidate.boundary == close) {
        match = {i, true};
        return true;
      }
    }
    return false;
  }

  const std::string_view text_;
  size_t at_ = 0;
  uint64_t line_ = 0;  // line breaks before at_
  uint32_t current_ = kNoPart;
  std::vector<OpenMultipart> open_;
  // By part: depth, line_ at the body's start, the last child so far.
  std::vector<uint32_t> depth_;
  std::vector<uint64_t> body_line_;
  std::vector<uint32_t> last_child_;
  Structure out_;
};

}  // namespace

Structure ParseStructure(std::string_view message) { return Parser(message).Run(); }

}  // namespace posthorn::mime
