#include "store-service/blob/s3/s3_answers.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

// The text of the first <tag> in `xml`; moves `xml` behind it.
std::optional<std::string_view> NextElement(std::string_view& xml, std::string_view tag) {
  const std::string open = base::StrCat("<", tag, ">");
  const std::string close = base::StrCat("</", tag, ">");
  const size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t end = xml.find(close, begin);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view text = xml.substr(begin + open.size(), end - begin - open.size());
  xml.remove_prefix(end + close.size());
  return text;
}
std::string_view Element(std::string_view xml, std::string_view tag) {
  return NextElement(xml, tag).value_or("");
}

std::string Unescape(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, char>, 5> kNames{
      {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
  std::string out;
  while (!text.empty()) {
    const auto* const named = std::find_if(kNames.begin(), kNames.end(), [&](const auto& name) {
      return text.starts_with(name.first);
    });
    out.push_back(named == kNames.end() ? text.front() : named->second);
    text.remove_prefix(named == kNames.end() ? 1 : named->first.size());
  }
  return out;
}

// "2026-11-21T15:04:05.000Z" in milliseconds; 0 when it is no time.
int64_t ParseTime(std::string_view text) {
  tm parts{};
  if (::strptime(std::string(text).c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return 0;
  return static_cast<int64_t>(::timegm(&parts)) * 1000;
}

S3Outcome Refused(std::string_view what) {
  return {.status = base::Unavailable(what), .refused = true};
}

bool IsFull(long http, std::string_view code) {
  constexpr std::array<std::string_view, 4> kFull{"QuotaExceeded", "XMinioStorageFull",
                                                  "InsufficientStorage", "InsufficientCapacity"};
  return http == 507 || http == 413 || std::find(kFull.begin(), kFull.end(), code) != kFull.end();
}

}  // namespace

S3Outcome JudgeAnswer(bool complete, long http, std::string_view text) {
  if (http < 200) return {.status = base::Unavailable("no answer"), .again = true};
  if (http >= 200 && http < 300) {
    if (complete) return {};
    return {.status = base::Unavailable("the answer was cut short"), .again = true};
  }
  const std::string_view code = Element(text, "Code");
  const std::string what = base::StrCat("status ", http, code.empty() ? "" : " ", code);
  if (http == 416) return {};  // Get() knows what it means
  if (IsFull(http, code)) return {.status = base::Exhausted(what)};
  // Not every server says which; a bucket that is missing must not look like a message that is, nor
  // the page of a proxy that does not know the way.
  const bool of_s3 = text.empty() || !code.empty();
  if (http == 404 && of_s3 && code != "NoSuchBucket") return {.status = base::NotFound(what)};
  const bool busy = http >= 500 || http == 429 || http == 408 || http == 409 ||
                    code == "RequestTimeout" || code == "SlowDown";
  if (busy) return {.status = base::Unavailable(what), .again = true};
  return Refused(what);
}

absl::StatusOr<S3Listing> ParseListing(std::string_view xml, std::string_view prefix) {
  if (xml.find("<ListBucketResult") == std::string_view::npos) {
    return base::Unavailable("the object store's answer is no listing");
  }
  S3Listing listing;
  listing.more = Element(xml, "IsTruncated") == "true";
  while (const std::optional<std::string_view> item = NextElement(xml, "Contents")) {
    S3Object object;
    object.name = Unescape(Element(*item, "Key"));
    if (!object.name.starts_with(prefix)) continue;
    object.name.erase(0, prefix.size());
    object.size = base::ParseInt<uint64_t>(Element(*item, "Size")).value_or(0);
    object.modified_ms = ParseTime(Element(*item, "LastModified"));
    listing.objects.push_back(std::move(object));
  }
  return listing;
}

}  // namespace posthorn::store_service
