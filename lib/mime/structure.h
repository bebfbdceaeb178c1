#pragma once

// A message's parts and where they lie [RFC2045, RFC2046]. One pass, linear in the message's size
// whatever it holds; nothing copied; never fails. Views point into the message.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace posthorn::mime {

inline constexpr size_t kMaxDepth = 100;     // deeper multiparts and messages are left whole
inline constexpr size_t kMaxParts = 10'000;  // what follows belongs to the last part
inline constexpr size_t kMaxMessageSize = UINT32_MAX;  // what lies behind is not looked at
inline constexpr uint32_t kNoPart = UINT32_MAX;

enum class PartKind : uint32_t {
  kLeaf,
  kMultipart,  // has children, when boundaries were found
  kMessage,    // message/rfc822 or message/global with exactly one child: the message inside
};

// Where a part lies. Offsets and sizes in bytes, from the start of the message.
struct PartOffsets {
  uint32_t parent = kNoPart;
  uint32_t first_child = kNoPart;
  uint32_t next_sibling = kNoPart;
  PartKind kind = PartKind::kLeaf;
  uint32_t header_start = 0;
  uint32_t header_size = 0;  // the blank line included
  uint32_t body_start = 0;
  uint32_t body_size = 0;   // without the line break that belongs to the boundary behind
  uint32_t body_lines = 0;  // line breaks in the body
};

// Raw values of the fields of one message header; the first of each name. data() is nullptr for
// a field that is not there.
struct EnvelopeFields {
  std::string_view date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id,
      references;
};

// Raw values of a part's Content-* fields, as EnvelopeFields.
struct ContentFields {
  std::string_view type, disposition, encoding, id, description, md5, language, location;
};

struct Part : PartOffsets {
  std::string_view media_type;     // as written, "text" / "message" by default
  std::string_view media_subtype;  // "plain" / "rfc822" by default
  ContentFields content;
  uint32_t envelope = kNoPart;  // index into Structure::envelopes; parts that are messages only
};

struct Structure {
  std::vector<Part> parts;  // the message itself first; parents before children, in order
  std::vector<EnvelopeFields> envelopes;
};

// `message` must outlive the result.
Structure ParseStructure(std::string_view message);

}  // namespace posthorn::mime
