#pragma once

// The digest: what IMAP asks about a message again and again, computed once when the message is
// accepted and stored beside it. Read without parsing: accessors cost a few loads, ENVELOPE and
// BODYSTRUCTURE are stored ready-made.
//
// A digest is made of the blob alone. Offsets in it count from the blob's start; a stored message
// is prefix + blob, the prefix holding nothing but header lines above, which no accessor shows.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/mime/decode.h"
#include "lib/mime/imap_text.h"
#include "lib/mime/section.h"
#include "lib/mime/structure.h"

namespace posthorn::mime {

// Digests of another version are made again from the message.
inline constexpr uint32_t kDigestVersion = 1;

// Total; time linear in the message.
std::string MakeDigest(std::string_view message);

struct DigestPart {
  PartOffsets offsets;
  TransferEncoding encoding = TransferEncoding::kIdentity;
  std::string_view media_type, media_subtype;  // lower case
  std::string_view charset;                    // as written; empty when not given
};

// A view of a digest, valid as long as its bytes. Cheap to copy.
class DigestView {
 public:
  // Nothing when the bytes are no digest of this version; never reads outside of them.
  static std::optional<DigestView> Open(std::string_view digest);

  // Decoded UTF-8, unfolded, at most 64 KiB of each; for SEARCH and for showing. Empty when the
  // field is not there.
  std::string_view subject() const { return Text(kSubject); }
  std::string_view from() const { return Text(kFrom); }
  std::string_view sender() const { return Text(kSender); }
  std::string_view reply_to() const { return Text(kReplyTo); }
  std::string_view to() const { return Text(kTo); }
  std::string_view cc() const { return Text(kCc); }
  std::string_view bcc() const { return Text(kBcc); }
  // "<left@right>" without blanks; several with one blank between.
  std::string_view message_id() const { return Text(kMessageId); }
  std::string_view in_reply_to() const { return Text(kInReplyTo); }
  std::string_view references() const { return Text(kReferences); }
  // Sort forms [RFC5256 2.1, 3]: compare as bytes.
  std::string_view base_subject() const { return Text(kBaseSubject); }
  std::string_view sort_from() const { return Text(kSortFrom); }
  std::string_view sort_to() const { return Text(kSortTo); }
  std::string_view sort_cc() const { return Text(kSortCc); }
  std::string_view preview() const { return Text(kPreview); }  // [RFC8970]

  // Unix seconds; nothing without a valid Date field (callers then take INTERNALDATE).
  std::optional<int64_t> sent_at() const;
  int32_t sent_zone_minutes() const;
  bool is_reply() const;  // the subject had "Re:" or its like
  bool has_attachments() const;
  uint32_t message_size() const;  // of the blob
  uint32_t header_size() const;   // of the blob's own header

  uint32_t part_count() const;
  DigestPart part(uint32_t index) const;   // index < part_count()
  std::vector<PartOffsets> Parts() const;  // for FindSection

 private:
  friend class DigestWriter;
  friend void AppendEnvelope(const DigestView& digest, std::string& out);
  friend void AppendBodyStructure(const DigestView& digest, Extensible extensible,
                                  std::string& out);
  enum TextIndex : uint32_t {
    kEnvelope,
    kBody,
    kBodyStructure,
    kSubject,
    kFrom,
    kSender,
    kReplyTo,
    kTo,
    kCc,
    kBcc,
    kMessageId,
    kInReplyTo,
    kReferences,
    kBaseSubject,
    kSortFrom,
    kSortTo,
    kSortCc,
    kPreview,
    kPartTexts,
    kTextCount
  };
  // All numbers as the machine has them (little-endian everywhere we run).
  struct Head {
    uint32_t version, flags, message_size, header_size, part_count;
    int32_t zone_minutes;
    int64_t sent_at;
    uint32_t text_ends[kTextCount];  // from the start of the texts
    uint32_t padding;
  };
  struct PartRecord {
    PartOffsets offsets;
    uint32_t encoding;
    uint32_t text_start;  // in kPartTexts: type, subtype, charset
    uint16_t type_size, subtype_size, charset_size, padding;
  };
  static constexpr uint32_t kIsReply = 1, kHasAttachments = 2;
  static constexpr int64_t kNoDate = std::numeric_limits<int64_t>::min();

  explicit DigestView(std::string_view digest) : bytes_(digest) {}
  std::string_view Text(TextIndex index) const;
  Head LoadHead() const;
  PartRecord LoadPart(uint32_t index) const;
  size_t TextsStart() const;

  std::string_view bytes_;
};

// ENVELOPE's and BODY's (BODYSTRUCTURE's) value, parentheses included. Costs a copy.
void AppendEnvelope(const DigestView& digest, std::string& out);
void AppendBodyStructure(const DigestView& digest, Extensible extensible, std::string& out);

}  // namespace posthorn::mime
