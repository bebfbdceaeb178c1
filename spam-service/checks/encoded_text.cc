#include "spam-service/checks/encoded_text.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::spam_service {
namespace {

constexpr std::string_view kField = "content-transfer-encoding:";
constexpr size_t kKept = 80;  // of each line: the field and its value

}  // namespace

void EncodedText::EndLine() {
  const std::string_view line = base::Trim(line_);
  if (base::StartsWithIgnoreCase(line, kField)) {
    announced_ = mime::ParseTransferEncoding(base::Trim(line.substr(kField.size())));
  } else if (line.empty() && announced_) {
    decoder_.reset();
    if (*announced_ != mime::TransferEncoding::kIdentity) decoder_.emplace(*announced_);
    announced_.reset();
  }
  line_.clear();
}

void EncodedText::Decode(std::string_view chunk, std::string& out) {
  while (!chunk.empty()) {
    const size_t end = chunk.find('\n');
    const std::string_view piece = chunk.substr(0, end == std::string_view::npos ? end : end + 1);
    if (line_.size() < kKept) line_.append(piece.substr(0, kKept - line_.size()));
    if (decoder_) decoder_->Decode(piece, out);
    if (end != std::string_view::npos) EndLine();
    chunk.remove_prefix(piece.size());
  }
}

}  // namespace posthorn::spam_service
