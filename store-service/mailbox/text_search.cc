#include "store-service/mailbox/text_search.h"

#include <unicode/ucasemap.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/charset.h"
#include "lib/mime/decode.h"
#include "lib/mime/encoded_word.h"
#include "lib/mime/header.h"
#include "lib/mime/parameters.h"
#include "lib/mime/structure.h"
#include "store-service/mailbox/message_reader.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kStepBytes = 4 << 20;
constexpr size_t kStepMessages = 200;

struct CloseCaseMap {
  void operator()(UCaseMap* map) const { ucasemap_close(map); }
};

std::string FoldWithIcu(std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  static thread_local const std::unique_ptr<UCaseMap, CloseCaseMap> map(
      ucasemap_open("", U_FOLD_CASE_DEFAULT, &error));
  std::string out(text.size() + text.size() / 2 + 16, '\0');
  for (;;) {
    error = U_ZERO_ERROR;
    const int32_t size =
        ucasemap_utf8FoldCase(map.get(), out.data(), static_cast<int32_t>(out.size()), text.data(),
                              static_cast<int32_t>(text.size()), &error);
    if (error == U_BUFFER_OVERFLOW_ERROR && static_cast<size_t>(size) > out.size()) {
      out.resize(static_cast<size_t>(size));
      continue;
    }
    if (U_FAILURE(error)) return base::Lower(text);
    out.resize(static_cast<size_t>(size));
    return out;
  }
}

std::string DecodedText(std::string_view message, const mime::Part& part) {
  const std::string bytes = mime::DecodeBody(message.substr(part.body_start, part.body_size),
                                             mime::ParseTransferEncoding(part.content.encoding));
  const mime::ContentType type = mime::ParseContentType(part.content.type);
  const mime::Parameter* const charset = type.Find("charset");
  return mime::ToUtf8(charset == nullptr ? "" : charset->value, bytes);
}

}  // namespace

std::string FoldCase(std::string_view text) {
  const auto beyond_ascii = [](char c) { return static_cast<uint8_t>(c) > 127; };
  if (std::none_of(text.begin(), text.end(), beyond_ascii)) return base::Lower(text);
  return FoldWithIcu(text);
}

TextQuery::TextQuery(const v1::SearchTextRequest& request)
    : where_(request.where()), field_(request.field()), needle_(FoldCase(request.needle())) {}

bool TextQuery::Holds(std::string_view text) const {
  return FoldCase(text).find(needle_) != std::string::npos;
}

bool TextQuery::Matches(std::string_view message) const {
  switch (where_) {
    case v1::SearchTextRequest::HEADER:
      return HeaderMatches(message);
    case v1::SearchTextRequest::TEXT:
      return needle_.empty() || AnyFieldMatches(message) || BodyMatches(message);
    default:
      return needle_.empty() || BodyMatches(message);
  }
}

// [RFC9051 6.4.4] an empty string: every message that has the field.
bool TextQuery::HeaderMatches(std::string_view message) const {
  mime::FieldReader reader(message);
  for (mime::Field field; reader.Next(field);) {
    if (!base::EqualsIgnoreCase(field.name, field_)) continue;
    if (needle_.empty() || Holds(mime::DecodeWords(mime::Unfold(field.value)))) return true;
  }
  return false;
}

bool TextQuery::AnyFieldMatches(std::string_view header) const {
  mime::FieldReader reader(header);
  for (mime::Field field; reader.Next(field);) {
    const std::string value = mime::DecodeWords(mime::Unfold(field.value));
    if (Holds(base::StrCat(field.name, ": ", value))) return true;
  }
  return false;
}

bool TextQuery::BodyMatches(std::string_view message) const {
  const mime::Structure structure = mime::ParseStructure(message);
  for (size_t i = 0; i < structure.parts.size(); ++i) {
    const mime::Part& part = structure.parts[i];
    // The header of a message inside belongs to the body of the one around it.
    if (i > 0 && part.envelope != mime::kNoPart &&
        AnyFieldMatches(message.substr(part.header_start, part.header_size))) {
      return true;
    }
    if (part.kind != mime::PartKind::kLeaf) continue;
    if (!base::EqualsIgnoreCase(part.media_type, "text")) continue;
    if (Holds(DecodedText(message, part))) return true;
  }
  return false;
}

absl::StatusOr<SearchStep> SearchSome(Database& database, BlobStore& blobs, AccountId account,
                                      MailboxId mailbox, UidSpan span, const TextQuery& query) {
  std::vector<MessagePlace> places;
  {
    // Given back before the bytes are read: a long search must not hold the log.
    ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
    size_t bytes = 0;
    RETURN_IF_ERROR(snapshot->ReadPlaces(account, mailbox, span, [&](MessagePlace place) {
      bytes += place.prefix.size() + place.blob_size;
      places.push_back(std::move(place));
      return bytes < kStepBytes && places.size() < kStepMessages;
    }));
  }
  SearchStep step;
  for (const MessagePlace& place : places) {
    step.last = place.uid;
    const absl::StatusOr<std::string> message = ReadWhole(blobs, place);
    if (message.ok() && query.Matches(*message)) step.matches.push_back(place.uid);
  }
  return step;
}

}  // namespace posthorn::store_service
