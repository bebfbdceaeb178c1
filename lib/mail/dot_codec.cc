#include "lib/mail/dot_codec.h"

#include <algorithm>
#include <cstring>

#include "lib/mail/utf8.h"

namespace posthorn::mail {
namespace {

constexpr std::string_view kCrLf = "\r\n", kCr = "\r";

}  // namespace

void DotDecoder::Emit(std::string_view bytes, std::vector<std::string_view>& out) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  // Neighbours in memory become one view: a whole chunk mostly is one.
  if (!out.empty() && out.back().data() + out.back().size() == bytes.data()) {
    out.back() = {out.back().data(), out.back().size() + bytes.size()};
  } else {
    out.push_back(bytes);
  }
}

void DotDecoder::Inspect(std::string_view text) {
  if (!nul_) nul_ = text.find('\0') != std::string_view::npos;
  if (!eight_bit_) eight_bit_ = !IsAscii(text);
}

void DotDecoder::EndLine() {
  longest_line_ = std::max(longest_line_, line_);
  line_ = 0;
}

void DotDecoder::BareCr(std::vector<std::string_view>& out) {
  bare_cr_ = true;
  Emit(newlines_ == BareNewlines::kMakeCrlf ? kCrLf : kCr, out);
  if (newlines_ == BareNewlines::kMakeCrlf) EndLine();
}

void DotDecoder::BareLf(std::vector<std::string_view>& out) {
  bare_lf_ = true;
  Emit(newlines_ == BareNewlines::kMakeCrlf ? kCrLf : kCrLf.substr(1), out);
  EndLine();
}

// Up to the next CR or LF, which is taken too. Behind a bare LF no line starts: a dot there is
// neither the end nor stuffed.
size_t DotDecoder::Text(std::string_view rest, std::vector<std::string_view>& out) {
  const void* lf = std::memchr(rest.data(), '\n', rest.size());
  const size_t lf_at =
      lf == nullptr ? rest.size() : static_cast<size_t>(static_cast<const char*>(lf) - rest.data());
  const void* cr = std::memchr(rest.data(), '\r', lf_at);
  if (cr != nullptr) {
    const size_t at = static_cast<size_t>(static_cast<const char*>(cr) - rest.data());
    line_ += at;
    if (at + 1 == lf_at && lf != nullptr) {  // the common case: a whole line
      Emit(rest.substr(0, lf_at + 1), out);
      EndLine();
      state_ = State::kLineStart;
      return lf_at + 1;
    }
    Emit(rest.substr(0, at), out);
    state_ = State::kCr;
    return at + 1;
  }
  line_ += lf_at;
  Emit(rest.substr(0, lf_at), out);
  state_ = State::kLine;
  if (lf == nullptr) return rest.size();
  BareLf(out);
  return lf_at + 1;
}

size_t DotDecoder::Decode(std::string_view chunk, std::vector<std::string_view>& out) {
  size_t at = 0;
  while (at < chunk.size() && state_ != State::kDone) {
    const char c = chunk[at];
    switch (state_) {
      case State::kLineStart:
        if (c != '.') {
          at += Text(chunk.substr(at), out);
        } else {
          state_ = State::kDot;
          ++at;
        }
        break;
      case State::kLine:
        at += Text(chunk.substr(at), out);
        break;
      case State::kCr:
        if (c == '\n') {
          Emit(kCrLf, out);
          EndLine();
          state_ = State::kLineStart;
          ++at;
        } else {
          BareCr(out);
          state_ = State::kLine;
        }
        break;
      case State::kDot:  // the dot itself is dropped in any case
        state_ = c == '\r' ? State::kDotCr : State::kLine;
        if (c == '\r') ++at;
        break;
      case State::kDotCr:
        if (c == '\n') {
          state_ = State::kDone;
          ++at;
        } else {
          BareCr(out);
          state_ = State::kLine;
        }
        break;
      case State::kDone:
        break;
    }
  }
  Inspect(chunk.substr(0, at));
  return at;
}

void DotEncoder::Encode(std::string_view chunk, std::string& out) {
  size_t start = 0;
  for (size_t at = 0; at < chunk.size();) {
    if (line_start_ && chunk[at] == '.') {
      out.append(chunk.substr(start, at - start));
      out.push_back('.');
      start = at;
    }
    line_start_ = false;
    const void* lf = std::memchr(chunk.data() + at, '\n', chunk.size() - at);
    if (lf == nullptr) break;
    const size_t lf_at = static_cast<size_t>(static_cast<const char*>(lf) - chunk.data());
    // Only CRLF starts a line. Stored messages have no bare LF unless an administrator allowed it.
    line_start_ = lf_at > 0 ? chunk[lf_at - 1] == '\r' : cr_;
    at = lf_at + 1;
  }
  out.append(chunk.substr(start));
  if (!chunk.empty()) cr_ = chunk.back() == '\r';
}

void DotEncoder::Finish(std::string& out) {
  if (!line_start_) out += "\r\n";
  out += ".\r\n";
  line_start_ = true;
  cr_ = false;
}

}  // namespace posthorn::mail
