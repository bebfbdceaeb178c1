// Compares our structure with GMime's on generated messages that keep to the standards.

#include <gmime/gmime.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "lib/base/strings.h"
#include "lib/mime/structure.h"

namespace posthorn::mime {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}
  std::string Message() { return base::StrCat("Subject: s", Below(100), "\r\n", Entity(0)); }

 private:
  uint32_t Below(uint32_t limit) { return static_cast<uint32_t>(random_() % limit); }

  std::string Text() {
    std::string out;
    for (uint32_t i = Below(4); i > 0; --i)
      out += Below(3) == 0 ? "--not a boundary\r\n" : "line\r\n";
    return out + "end";
  }

  std::string Entity(int depth) {
    const uint32_t kind = depth > 5 ? 0 : Below(5);
    if (kind == 1 || kind == 2) return Multipart(depth);
    if (kind == 3) return base::StrCat("Content-Type: message/rfc822\r\n\r\n", Message(depth + 1));
    if (kind == 4) return base::StrCat("Content-Type: image/png; name=\"a;b\"\r\n\r\n", Text());
    return base::StrCat("Content-Type: text/plain\r\n\r\n", Text());
  }

  std::string Message(int depth) { return base::StrCat("Subject: inside\r\n", Entity(depth)); }

  std::string Multipart(int depth) {
    const std::string boundary = base::StrCat("=_", next_++, "_x");
    std::string out =
        base::StrCat("Content-Type: multipart/mixed;\r\n boundary=\"", boundary, "\"\r\n\r\n");
    if (Below(2) == 0) out += "preamble\r\n";
    for (uint32_t i = 1 + Below(3); i > 0; --i)
      base::StrAppend(out, "--", boundary, "\r\n", Entity(depth + 1), "\r\n");
    base::StrAppend(out, "--", boundary, "--");
    if (Below(2) == 0) out += "\r\nepilogue";
    return out;
  }

  std::mt19937 random_;
  int next_ = 0;
};

std::string Ours(std::string_view message, const Structure& s, uint32_t index) {
  const Part& part = s.parts[index];
  std::string out =
      base::StrCat(base::Lower(part.media_type), '/', base::Lower(part.media_subtype));
  if (part.kind == PartKind::kLeaf)
    return base::StrCat(out, '=', message.substr(part.body_start, part.body_size));
  out += '(';
  for (uint32_t c = part.first_child; c != kNoPart; c = s.parts[c].next_sibling)
    out += Ours(message, s, c) + ' ';
  return out + ')';
}

std::string Content(GMimePart* part) {
  GMimeDataWrapper* const wrapper = g_mime_part_get_content(part);
  if (wrapper == nullptr) return {};
  GMimeStream* const memory = g_mime_stream_mem_new();
  g_mime_data_wrapper_write_to_stream(wrapper, memory);
  const GByteArray* const bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(memory));
  std::string out(reinterpret_cast<const char*>(bytes->data), bytes->len);
  g_object_unref(memory);
  // Inside message/rfc822 GMime leaves the CR of the boundary's line break to the part.
  if (out.ends_with('\r')) out.pop_back();
  return out;
}

std::string Theirs(GMimeObject* object) {
  GMimeContentType* const type = g_mime_object_get_content_type(object);
  std::string out = base::StrCat(base::Lower(g_mime_content_type_get_media_type(type)), '/',
                                 base::Lower(g_mime_content_type_get_media_subtype(type)));
  if (GMIME_IS_MULTIPART(object)) {
    out += '(';
    GMimeMultipart* const multipart = GMIME_MULTIPART(object);
    for (int i = 0; i < g_mime_multipart_get_count(multipart); ++i)
      out += Theirs(g_mime_multipart_get_part(multipart, i)) + ' ';
    return out + ')';
  }
  if (GMIME_IS_MESSAGE_PART(object)) {
    GMimeMessage* const inside = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
    return base::StrCat(out, '(', Theirs(g_mime_message_get_mime_part(inside)), " )");
  }
  return base::StrCat(out, '=', Content(GMIME_PART(object)));
}

std::string TheirsOf(const std::string& text) {
  GMimeStream* const stream = g_mime_stream_mem_new_with_buffer(text.data(), text.size());
  GMimeParser* const parser = g_mime_parser_new_with_stream(stream);
  GMimeMessage* const message = g_mime_parser_construct_message(parser, nullptr);
  const std::string out = Theirs(g_mime_message_get_mime_part(message));
  g_object_unref(message);
  g_object_unref(parser);
  g_object_unref(stream);
  return out;
}

TEST(Structure, AgreesWithGMime) {
  g_mime_init();
  for (uint32_t seed = 0; seed < 500; ++seed) {
    const std::string message = Generator(seed).Message();
    ASSERT_EQ(Ours(message, ParseStructure(message), 0), TheirsOf(message)) << message;
  }
  g_mime_shutdown();
}

}  // namespace
}  // namespace posthorn::mime
