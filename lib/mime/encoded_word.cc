#include "lib/mime/encoded_word.h"

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"
#include "lib/mime/charset.h"
#include "lib/mime/decode.h"

namespace posthorn::mime {
namespace {

struct Word {
  std::string_view charset;
  char encoding = 0;  // 'b' or 'q'
  std::string_view text;
  size_t size = 0;  // of "=?...?="
};

// encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
bool ReadWord(std::string_view text, Word& word) {
  if (!text.starts_with("=?")) return false;
  // Real words are at most 75 characters; longer ones occur, so the bound is generous. It keeps a
  // text full of "=?" linear.
  const std::string_view near = text.substr(0, 1000);
  const size_t first = near.find('?', 2);
  if (first == std::string_view::npos || first == 2 || first + 3 >= near.size()) return false;
  word.encoding = base::ToLower(near[first + 1]);
  if ((word.encoding != 'b' && word.encoding != 'q') || near[first + 2] != '?') return false;
  const size_t end = near.find("?=", first + 3);
  if (end == std::string_view::npos) return false;
  word.charset = near.substr(2, first - 2);
  word.charset = word.charset.substr(0, word.charset.find('*'));  // [RFC2231 5]
  if (word.charset.find_first_of(" \t\r\n") != std::string_view::npos) return false;
  word.text = near.substr(first + 3, end - first - 3);
  if (word.text.find_first_of("\r\n") != std::string_view::npos) return false;
  word.size = end + 2;
  return true;
}

// "Q": quoted-printable in which "_" is a blank [RFC2047 4.2].
void DecodeText(const Word& word, std::string& out) {
  if (word.encoding == 'b') {
    Base64Decoder decoder;
    decoder.Decode(word.text, out);
    return;
  }
  std::string text(word.text);
  for (char& c : text)
    if (c == '_') c = ' ';
  // A trailing blank would be dropped as the end of a line; here it means something.
  QuotedPrintableDecoder decoder;
  const size_t last = text.find_last_not_of(" \t") + 1;
  decoder.Decode(std::string_view(text).substr(0, last), out);
  decoder.Finish(out);
  out.append(text, last);
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Gathers neighbouring words of one charset, so that letters cut in two are read whole.
struct Run {
  std::string charset;
  std::string bytes;
  void Flush(std::string& out) {
    AppendToUtf8(charset, bytes, out);
    bytes.clear();
  }
};

void AppendPlain(std::string_view text, std::string& out) {
  std::string clean;
  for (const char c : text)
    if (c != '\r' && c != '\n') clean.push_back(c);
  mail::AppendAsUtf8(clean, out);
}

void EncodeOne(std::string_view piece, std::string& out) {
  if (!out.empty()) out += "\r\n ";
  base::StrAppend(out, "=?UTF-8?B?", base::Base64(piece), "?=");
}

}  // namespace

std::string DecodeWords(std::string_view text) {
  std::string out;
  Run run;
  size_t plain = 0;  // start of text not yet written
  bool after_word = false;
  for (size_t at = text.find("=?"); at != std::string_view::npos; at = text.find("=?", at)) {
    Word word;
    if (!ReadWord(text.substr(at), word)) {
      at += 2;
      continue;
    }
    const std::string_view between = text.substr(plain, at - plain);
    bool blank = true;
    for (const char c : between) blank = blank && IsBlank(c);
    if (!after_word || !blank) {
      run.Flush(out);
      AppendPlain(between, out);
    }
    if (!base::EqualsIgnoreCase(run.charset, word.charset)) {
      run.Flush(out);
      run.charset = word.charset;
    }
    DecodeText(word, run.bytes);
    after_word = true;
    plain = at += word.size;
  }
  run.Flush(out);
  AppendPlain(text.substr(plain), out);
  return out;
}

std::string EncodeWords(std::string_view text) {
  bool plain = text.find("=?") == std::string_view::npos;
  for (const char c : text) plain = plain && c >= 32 && c < 127;
  if (plain) return std::string(text);
  // 45 bytes make 60 characters; with "=?UTF-8?B?" and "?=" that is 72.
  constexpr size_t kBytes = 45;
  std::string clean, out;
  mail::AppendAsUtf8(text, clean);
  size_t start = 0;
  for (size_t at = 0; at < clean.size();) {
    const size_t length = mail::Utf8SequenceAt(clean, at);
    if (at + length - start > kBytes) {
      EncodeOne(std::string_view(clean).substr(start, at - start), out);
      start = at;
    }
    at += length;
  }
  EncodeOne(std::string_view(clean).substr(start), out);
  return out;
}

}  // namespace posthorn::mime
