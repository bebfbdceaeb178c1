#include "lib/mime/subject.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"
#include "lib/mime/encoded_word.h"

namespace posthorn::mime {
namespace {

std::string Upper(const std::string& text) {
  if (mail::IsAscii(text)) return base::Upper(text);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode code = U_ZERO_ERROR;
  icu::CaseMap::utf8ToUpper("", 0, text, sink, nullptr, code);
  return U_SUCCESS(code) ? out : text;
}

// Step 1: decoded, runs of blanks to one.
std::string Collapse(std::string_view subject) {
  std::string out;
  for (const char c : DecodeWords(subject)) {
    const bool blank = c == ' ' || c == '\t';
    if (!blank) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  return out;
}

// subj-blob = "[" *BLOBCHAR "]" *WSP; where it ends, or `at` when there is none.
size_t SkipBlob(std::string_view text, size_t at) {
  if (at >= text.size() || text[at] != '[') return at;
  const size_t end = text.find_first_of("[]", at + 1);
  if (end == std::string_view::npos || text[end] == '[') return at;
  at = end + 1;
  while (at < text.size() && text[at] == ' ') ++at;
  return at;
}

// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
size_t SkipRefwd(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  size_t end = at;
  if (base::StartsWithIgnoreCase(rest, "re")) {
    end += 2;
  } else if (base::StartsWithIgnoreCase(rest, "fwd")) {
    end += 3;
  } else if (base::StartsWithIgnoreCase(rest, "fw")) {
    end += 2;
  } else {
    return at;
  }
  while (end < text.size() && text[end] == ' ') ++end;
  end = SkipBlob(text, end);
  if (end >= text.size() || text[end] != ':') return at;
  ++end;
  while (end < text.size() && text[end] == ' ') ++end;
  return end;
}

// Steps 2 to 5 on a view, so that nothing is copied however many "Re:" there are.
class Stripper {
 public:
  explicit Stripper(std::string_view text) : text_(text) {}

  void Run() {
    do {
      Trailers();
      Leaders();
    } while (Wrapper());
  }
  std::string_view text() const { return text_; }
  Reply reply() const { return reply_; }

 private:
  // subj-trailer = "(fwd)" / WSP
  void Trailers() {
    for (;;) {
      if (text_.ends_with(' ')) {
        text_.remove_suffix(1);
      } else if (text_.size() >= 5 &&
                 base::EqualsIgnoreCase(text_.substr(text_.size() - 5), "(fwd)")) {
        text_.remove_suffix(5);
        reply_ = Reply::kYes;
      } else {
        return;
      }
    }
  }

  // subj-leader = (*subj-blob subj-refwd) / WSP, then a blob when something is left behind it.
  void Leaders() {
    for (;;) {
      size_t at = 0;
      while (at < text_.size() && text_[at] == ' ') ++at;
      size_t blobs = at;
      for (size_t next; (next = SkipBlob(text_, blobs)) != blobs;) blobs = next;
      if (const size_t end = SkipRefwd(text_, blobs); end != blobs) {
        text_.remove_prefix(end);
        reply_ = Reply::kYes;
        continue;
      }
      text_.remove_prefix(at);
      // All blobs go but the last when nothing else is left [RFC5256 2.1 (4)].
      for (size_t next; (next = SkipBlob(text_, 0)) != 0 && next < text_.size();)
        text_.remove_prefix(next);
      return;
    }
  }

  // subj-fwd = "[fwd:" subject "]"
  bool Wrapper() {
    if (!base::StartsWithIgnoreCase(text_, "[fwd:") || !text_.ends_with(']')) return false;
    text_ = text_.substr(5, text_.size() - 6);
    reply_ = Reply::kYes;
    return true;
  }

  std::string_view text_;
  Reply reply_ = Reply::kNo;
};

}  // namespace

BaseSubject ExtractBaseSubject(std::string_view subject) {
  const std::string text = Collapse(subject.substr(0, 64 * 1024));
  Stripper stripper(text);
  stripper.Run();
  return {Upper(std::string(stripper.text())), stripper.reply()};
}

}  // namespace posthorn::mime
