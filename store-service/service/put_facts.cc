#include "store-service/service/put_facts.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/mime/header.h"
#include "posthorn/store/v1/blobs.pb.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kMostText = 1000;

bool HasHighByte(std::string_view bytes) {
  constexpr uint64_t kHigh = 0x8080808080808080;
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    if ((word & kHigh) != 0) return true;
  }
  for (; at < bytes.size(); ++at) {
    if (static_cast<unsigned char>(bytes[at]) > 127) return true;
  }
  return false;
}

// At most kMostText bytes, not ending inside a UTF-8 character: a string field of a contract must
// be UTF-8, and what is not is shown as "?".
std::string Text(std::string_view value) {
  std::string text = mime::Unfold(value.substr(0, 4 * kMostText));
  if (text.size() > kMostText) {
    text.resize(kMostText);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80)
      text.pop_back();
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.pop_back();
  }
  return text;
}

bool IsUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto first = static_cast<unsigned char>(text[at]);
    const size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || at + length > text.size()) return false;
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

std::string Safe(std::string text) {
  if (IsUtf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) > 127) c = '?';
  }
  return text;
}

std::string Addresses(std::string_view field) {
  std::string all;
  for (const mail::Address& address : mail::ParseAddressList(field)) {
    if (address.kind != mail::AddressKind::kMailbox || address.local.empty()) continue;
    const std::string one = base::StrCat(mail::QuoteLocal(address.local), "@", address.domain);
    if (all.size() + one.size() + 1 > kMostText) break;
    base::StrAppend(all, all.empty() ? "" : ",", one);
  }
  return all;
}

}  // namespace

void FillPutFacts(std::string_view message, store::v1::PutReply& reply) {
  mime::FieldReader reader(message);
  mime::Field field;
  bool has_subject = false, has_id = false, has_from = false;
  while (reader.Next(field)) {
    if (base::EqualsIgnoreCase(field.name, "Received")) {
      reply.set_received_count(reply.received_count() + 1);
    } else if (base::EqualsIgnoreCase(field.name, "Date")) {
      reply.set_has_date(true);
    } else if (!has_subject && base::EqualsIgnoreCase(field.name, "Subject")) {
      has_subject = true;
      reply.set_subject(Safe(Text(field.value)));
    } else if (!has_id && base::EqualsIgnoreCase(field.name, "Message-ID")) {
      has_id = true;
      reply.set_header_message_id(Safe(Text(field.value)));
    } else if (!has_from && base::EqualsIgnoreCase(field.name, "From")) {
      has_from = true;
      reply.set_from(Safe(Addresses(field.value.substr(0, 64 * 1024))));
    }
  }
  reply.set_header_8bit(HasHighByte(message.substr(0, reader.position())));
  reply.set_body_8bit(HasHighByte(message.substr(reader.position())));
}

}  // namespace posthorn::store_service
