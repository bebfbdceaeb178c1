#include "lib/mime/digest.h"

#include <cstddef>
#include <cstring>

namespace posthorn::mime {
namespace {

template <class T>
T Load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

}  // namespace

std::optional<DigestView> DigestView::Open(std::string_view digest) {
  if (digest.size() < sizeof(Head)) return {};
  const Head head = Load<Head>(digest, 0);
  if (head.version != kDigestVersion || head.part_count == 0 || head.part_count > kMaxParts)
    return {};
  const size_t texts = sizeof(Head) + head.part_count * sizeof(PartRecord);
  if (texts > digest.size()) return {};
  uint32_t last = 0;
  for (const uint32_t end : head.text_ends) {
    if (end < last || end > digest.size() - texts) return {};
    last = end;
  }
  return DigestView(digest);
}

DigestView::Head DigestView::LoadHead() const { return Load<Head>(bytes_, 0); }

size_t DigestView::TextsStart() const { return sizeof(Head) + part_count() * sizeof(PartRecord); }

std::string_view DigestView::Text(TextIndex index) const {
  const size_t ends = offsetof(Head, text_ends);
  const uint32_t start =
      index == 0 ? 0 : Load<uint32_t>(bytes_, ends + (index - 1) * sizeof(uint32_t));
  const uint32_t end = Load<uint32_t>(bytes_, ends + index * sizeof(uint32_t));
  return {bytes_.data() + TextsStart() + start, end - start};
}

std::optional<int64_t> DigestView::sent_at() const {
  const int64_t sent = Load<int64_t>(bytes_, offsetof(Head, sent_at));
  if (sent == kNoDate) return {};
  return sent;
}
int32_t DigestView::sent_zone_minutes() const {
  return Load<int32_t>(bytes_, offsetof(Head, zone_minutes));
}
bool DigestView::is_reply() const {
  return (Load<uint32_t>(bytes_, offsetof(Head, flags)) & kIsReply) != 0;
}
bool DigestView::has_attachments() const {
  return (Load<uint32_t>(bytes_, offsetof(Head, flags)) & kHasAttachments) != 0;
}
uint32_t DigestView::message_size() const {
  return Load<uint32_t>(bytes_, offsetof(Head, message_size));
}
uint32_t DigestView::header_size() const {
  return Load<uint32_t>(bytes_, offsetof(Head, header_size));
}
uint32_t DigestView::part_count() const {
  return Load<uint32_t>(bytes_, offsetof(Head, part_count));
}

DigestView::PartRecord DigestView::LoadPart(uint32_t index) const {
  return Load<PartRecord>(bytes_, sizeof(Head) + index * sizeof(PartRecord));
}

DigestPart DigestView::part(uint32_t index) const {
  const PartRecord record = LoadPart(index);
  DigestPart out;
  out.offsets = record.offsets;
  out.encoding = record.encoding == 1   ? TransferEncoding::kBase64
                 : record.encoding == 2 ? TransferEncoding::kQuotedPrintable
                                        : TransferEncoding::kIdentity;
  // A damaged digest may say anything here; it must not make us read outside.
  const std::string_view all = Text(kPartTexts);
  std::string_view rest =
      record.text_start <= all.size() ? all.substr(record.text_start) : std::string_view();
  const auto take = [&rest](size_t size) {
    const std::string_view piece = rest.substr(0, size);
    rest.remove_prefix(piece.size());
    return piece;
  };
  out.media_type = take(record.type_size);
  out.media_subtype = take(record.subtype_size);
  out.charset = take(record.charset_size);
  return out;
}

std::vector<PartOffsets> DigestView::Parts() const {
  std::vector<PartOffsets> out(part_count());
  for (uint32_t i = 0; i < out.size(); ++i) out[i] = LoadPart(i).offsets;
  return out;
}

void AppendEnvelope(const DigestView& digest, std::string& out) {
  out += digest.Text(DigestView::kEnvelope);
}

void AppendBodyStructure(const DigestView& digest, Extensible extensible, std::string& out) {
  out +=
      digest.Text(extensible == Extensible::kYes ? DigestView::kBodyStructure : DigestView::kBody);
}

}  // namespace posthorn::mime
