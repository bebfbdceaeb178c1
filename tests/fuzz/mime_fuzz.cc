// Structure, sections and digest of any bytes: nothing lies outside, the tree is a tree.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/mime/digest.h"
#include "lib/mime/header.h"
#include "lib/mime/parameters.h"
#include "lib/mime/section.h"

namespace {

using namespace posthorn::mime;

void Must(bool condition) {
  if (!condition) std::abort();
}

void CheckTree(const std::vector<PartOffsets>& parts, size_t size) {
  for (uint32_t i = 0; i < parts.size(); ++i) {
    const PartOffsets& part = parts[i];
    Must(uint64_t{part.header_start} + part.header_size == part.body_start);
    Must(uint64_t{part.body_start} + part.body_size <= size);
    Must(i == 0 ? part.parent == kNoPart : part.parent < i);
    for (uint32_t c = part.first_child; c != kNoPart; c = parts[c].next_sibling) {
      Must(c > i && c < parts.size() && parts[c].parent == i);
      Must(parts[c].header_start >= part.body_start);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string digest = MakeDigest(text);
  const auto view = DigestView::Open(digest);
  Must(view.has_value());
  CheckTree(view->Parts(), size);
  for (uint32_t i = 0; i < view->part_count(); ++i) view->part(i);
  for (const char* name :
       {"", "HEADER", "TEXT", "1", "1.MIME", "2", "1.1", "2.1.HEADER", "1.TEXT"}) {
    const auto range = FindSection(view->Parts(), *ParseSection(name), 7);
    Must(!range || range->start + range->size <= size + 7);
  }
  ParseSection(text);
  Must(Header(text).size() <= size);
  ParseContentType(text);
  // As a digest the bytes may be anything.
  if (const auto foreign = DigestView::Open(text))
    for (uint32_t i = 0; i < foreign->part_count(); ++i) foreign->part(i);
  return 0;
}
