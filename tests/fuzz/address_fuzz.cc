// Address lists, dates and normal forms of any bytes; what we write we read back the same.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/mail/address.h"
#include "lib/mail/date.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace posthorn::mail;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (ParseAddressList(text).size() > kMaxAddresses + 2) std::abort();
  const auto normal = NormalAddress(text);
  // A normal form is its own normal form, else look-ups would depend on how often it was made.
  if (normal && NormalAddress(*normal) != normal) std::abort();
  if (const auto date = ParseDate(text)) {
    if (ParseDate(FormatDate(*date)) != date && FormatDate(*date).size() < 33) std::abort();
  }
  ParseInternalDate(text);
  ParseImapDay(text);
  const auto mailbox = ParseMailbox(text, Utf8::kAllow);
  if (mailbox.ok() && ParseMailbox(mailbox->Address(), Utf8::kAllow).value() != *mailbox)
    std::abort();
  return 0;
}
