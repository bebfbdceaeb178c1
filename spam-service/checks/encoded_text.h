#pragma once

// The decoded text of a message as it arrives: what base64 and quoted-printable hide. A light walk
// over lines, not a MIME parser: it takes each Content-Transfer-Encoding line at its word, from the
// next blank line on. What it decodes by mistake is noise to a search. Bounded memory, total.

#include <optional>
#include <string>
#include <string_view>

#include "lib/mime/decode.h"

namespace posthorn::spam_service {

class EncodedText {
 public:
  // Appends what `chunk` adds to the decoded text, nothing for parts that are not encoded.
  void Decode(std::string_view chunk, std::string& out);

 private:
  void EndLine();

  std::string line_;  // the beginning of the present line, as far as a field needs
  std::optional<mime::TransferEncoding> announced_;
  std::optional<mime::BodyDecoder> decoder_;
};

}  // namespace posthorn::spam_service
