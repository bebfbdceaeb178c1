#include <algorithm>
#include <array>
#include <cstring>

#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/mail/date.h"
#include "lib/mime/digest.h"
#include "lib/mime/encoded_word.h"
#include "lib/mime/header.h"
#include "lib/mime/parameters.h"
#include "lib/mime/preview.h"
#include "lib/mime/subject.h"

namespace posthorn::mime {
namespace {

constexpr size_t kMaxField = 64 * 1024;
constexpr size_t kMaxIds = 1000;

std::string Decoded(std::string_view raw) {
  std::string buffer;
  return DecodeWords(UnfoldView(raw.substr(0, kMaxField), buffer));
}

// "<a@b> <c@d>" out of what may hold comments, blanks and phrases [RFC5322 3.6.4].
std::string MessageIds(std::string_view raw, size_t most) {
  std::string out;
  size_t count = 0;
  for (size_t at = raw.find('<'); at != std::string_view::npos && count < most;
       at = raw.find('<', at)) {
    const size_t end = raw.find_first_of("<>", at + 1);
    if (end == std::string_view::npos) break;
    if (raw[end] == '>' && end > at + 1 && end - at < 1000) {
      if (!out.empty()) out += ' ';
      for (const char c : raw.substr(at, end + 1 - at))
        if (static_cast<unsigned char>(c) > 32) out += c;
      ++count;
    }
    at = end;
  }
  return out;
}

// The local part of the first address [RFC5256 3, FROM].
std::string SortAddress(std::string_view raw) {
  for (const mail::Address& address : mail::ParseAddressList(raw.substr(0, 2000)))
    if (address.kind != mail::AddressKind::kGroupEnd)
      return mail::NormalLocal(address.kind == mail::AddressKind::kMailbox ? address.local
                                                                           : address.name);
  return {};
}

uint16_t Append(std::string_view text, std::string& out) {
  text = text.substr(0, 255);
  out += text;
  return static_cast<uint16_t>(text.size());
}

}  // namespace

class DigestWriter {
 public:
  explicit DigestWriter(std::string_view message)
      : message_(message.substr(0, kMaxMessageSize)), structure_(ParseStructure(message)) {}

  std::string Write() {
    using View = DigestView;
    std::memset(&head_, 0, sizeof(head_));
    Texts();
    Parts();
    head_.version = kDigestVersion;
    head_.message_size = static_cast<uint32_t>(message_.size());
    head_.header_size = structure_.parts[0].header_size;
    head_.part_count = static_cast<uint32_t>(structure_.parts.size());
    if (HasAttachments(structure_)) head_.flags |= View::kHasAttachments;
    size_t size = 0;
    for (size_t i = 0; i < View::kTextCount; ++i) {
      size += texts_[i].size();
      head_.text_ends[i] = static_cast<uint32_t>(size);
    }
    std::string out;
    out.reserve(sizeof(head_) + records_.size() * sizeof(View::PartRecord) + size);
    out.append(reinterpret_cast<const char*>(&head_), sizeof(head_));
    out.append(reinterpret_cast<const char*>(records_.data()),
               records_.size() * sizeof(View::PartRecord));
    for (const std::string& text : texts_) out += text;
    return out;
  }

 private:
  void Texts() {
    using View = DigestView;
    const EnvelopeFields& e = structure_.envelopes[0];
    WriteEnvelope(e, texts_[View::kEnvelope]);
    WriteBodyStructure(structure_, 0, Extensible::kNo, texts_[View::kBody]);
    WriteBodyStructure(structure_, 0, Extensible::kYes, texts_[View::kBodyStructure]);
    texts_[View::kSubject] = Decoded(e.subject);
    texts_[View::kFrom] = Decoded(e.from);
    texts_[View::kSender] = Decoded(e.sender);
    texts_[View::kReplyTo] = Decoded(e.reply_to);
    texts_[View::kTo] = Decoded(e.to);
    texts_[View::kCc] = Decoded(e.cc);
    texts_[View::kBcc] = Decoded(e.bcc);
    texts_[View::kMessageId] = MessageIds(e.message_id, 1);
    texts_[View::kInReplyTo] = MessageIds(e.in_reply_to, kMaxIds);
    texts_[View::kReferences] = MessageIds(e.references, kMaxIds);
    BaseSubject base_subject = ExtractBaseSubject(e.subject);
    texts_[View::kBaseSubject] = std::move(base_subject.text);
    if (base_subject.reply == Reply::kYes) head_.flags |= View::kIsReply;
    texts_[View::kSortFrom] = SortAddress(e.from);
    texts_[View::kSortTo] = SortAddress(e.to);
    texts_[View::kSortCc] = SortAddress(e.cc);
    texts_[View::kPreview] = MakePreview(message_, structure_);
    const auto date = mail::ParseDate(e.date);
    head_.sent_at = date ? date->unix_seconds : View::kNoDate;
    head_.zone_minutes = date ? date->zone_minutes : 0;
  }

  void Parts() {
    using View = DigestView;
    std::string& texts = texts_[View::kPartTexts];
    records_.reserve(structure_.parts.size());
    for (const Part& part : structure_.parts) {
      View::PartRecord record;
      std::memset(static_cast<void*>(&record), 0, sizeof(record));
      record.offsets = part;
      record.encoding = static_cast<uint32_t>(ParseTransferEncoding(part.content.encoding));
      record.text_start = static_cast<uint32_t>(texts.size());
      record.type_size = Append(base::Lower(part.media_type), texts);
      record.subtype_size = Append(base::Lower(part.media_subtype), texts);
      const ContentType type = ParseContentType(part.content.type);
      const Parameter* const charset = type.Find("charset");
      if (charset != nullptr) record.charset_size = Append(charset->value, texts);
      records_.push_back(record);
    }
  }

  const std::string_view message_;
  const Structure structure_;
  DigestView::Head head_;
  std::vector<DigestView::PartRecord> records_;
  std::array<std::string, DigestView::kTextCount> texts_;
};

std::string MakeDigest(std::string_view message) { return DigestWriter(message).Write(); }

}  // namespace posthorn::mime
