#include "imap-gateway/protocol/response.h"

#include <algorithm>
#include <charconv>

#include "imap-gateway/protocol/mailbox_name.h"
#include "imap-gateway/protocol/scanner.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

void AppendNumber(std::string& out, uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number);
  out.append(digits, end.ptr);
}

void AppendString(std::string& out, std::string_view text) {
  const bool quotable = text.size() <= 1000 && std::all_of(text.begin(), text.end(), [](char c) {
                          const auto byte = static_cast<unsigned char>(c);
                          return byte >= 0x20 && byte < 0x7f;
                        });
  if (!quotable) {
    base::StrAppend(out, "{", text.size(), "}\r\n", text);
    return;
  }
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

void AppendMailbox(std::string& out, std::string_view name) {
  const std::string wire = EncodeModifiedUtf7(name);
  const bool atom = !wire.empty() && !base::EqualsIgnoreCase(wire, "NIL") &&
                    std::all_of(wire.begin(), wire.end(), IsAtomChar);
  if (atom) {
    out.append(wire);
  } else {
    AppendString(out, wire);
  }
}

std::string SafeText(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 300)) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(byte >= 0x20 && byte < 0x7f ? c : '?');
  }
  return out;
}

}  // namespace posthorn::imap_gateway
