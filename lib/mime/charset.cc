#include "lib/mime/charset.h"

#include <unicode/ucnv.h>

#include <memory>

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"

namespace posthorn::mime {
namespace {

struct CloseConverter {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, CloseConverter>;

// The thread's last converter is kept: one message mostly has one charset.
UConverter* ConverterFor(const std::string& name) {
  thread_local std::string kept_name;
  thread_local Converter kept;
  if (kept == nullptr || kept_name != name) {
    UErrorCode code = U_ZERO_ERROR;
    kept.reset(ucnv_open(name.c_str(), &code));
    if (U_FAILURE(code)) kept.reset();
    kept_name = name;
  }
  if (kept != nullptr) ucnv_reset(kept.get());
  return kept.get();
}

bool IsUtf8Name(std::string_view name) {
  return name.empty() || base::EqualsIgnoreCase(name, "utf-8") ||
         base::EqualsIgnoreCase(name, "utf8") || base::EqualsIgnoreCase(name, "us-ascii") ||
         base::EqualsIgnoreCase(name, "ascii");
}

void Convert(UConverter* from, std::string_view bytes, std::string& out) {
  UErrorCode code = U_ZERO_ERROR;
  thread_local const Converter utf8(ucnv_open("UTF-8", &code));
  if (utf8 == nullptr) return mail::AppendAsUtf8(bytes, out);
  ucnv_reset(utf8.get());
  UChar pivot[512];
  UChar *pivot_read = pivot, *pivot_write = pivot;
  const char* source = bytes.data();
  const char* const source_end = source + bytes.size();
  do {
    char buffer[2048];
    char* target = buffer;
    code = U_ZERO_ERROR;
    ucnv_convertEx(utf8.get(), from, &target, buffer + sizeof(buffer), &source, source_end, pivot,
                   &pivot_read, &pivot_write, pivot + 512, 0, 1, &code);
    out.append(buffer, static_cast<size_t>(target - buffer));
  } while (code == U_BUFFER_OVERFLOW_ERROR);
}

}  // namespace

void AppendToUtf8(std::string_view charset, std::string_view bytes, std::string& out) {
  // ISO-2022 and its like hide everything in ASCII bytes, so only known names take the short way.
  if (IsUtf8Name(charset)) return mail::AppendAsUtf8(bytes, out);
  if (charset.size() > 60 || charset.find('\0') != std::string_view::npos)
    return mail::AppendAsUtf8(bytes, out);
  UConverter* const from = ConverterFor(std::string(charset));
  if (from == nullptr) return mail::AppendAsUtf8(bytes, out);
  Convert(from, bytes, out);
}

std::string ToUtf8(std::string_view charset, std::string_view bytes) {
  std::string out;
  AppendToUtf8(charset, bytes, out);
  return out;
}

}  // namespace posthorn::mime
