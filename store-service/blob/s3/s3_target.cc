#include <algorithm>

#include "lib/base/strings.h"
#include "store-service/blob/s3/s3_client.h"

namespace posthorn::store_service {
namespace {

bool Plain(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           more.find(c) != std::string_view::npos;
  });
}

}  // namespace

absl::StatusOr<S3Target> ParseS3Target(std::string_view url, std::string_view endpoint,
                                       std::string_view region, std::string_view credentials) {
  constexpr std::string_view kScheme = "s3://";
  if (!url.starts_with(kScheme)) return base::Invalid("--blobs: s3://BUCKET[/PREFIX] is expected");
  url.remove_prefix(kScheme.size());
  S3Target target;
  const size_t slash = url.find('/');
  target.bucket = url.substr(0, slash);
  if (slash != std::string_view::npos) target.prefix = url.substr(slash + 1);
  while (target.prefix.ends_with('/')) target.prefix.pop_back();
  if (target.bucket.empty() || !Plain(target.bucket, ".-_")) {
    return base::Invalid("--blobs: the name of the bucket is not one");
  }
  if (!Plain(target.prefix, "./-_") || target.prefix.starts_with('/')) {
    return base::Invalid("--blobs: letters, digits, dots, dashes and slashes make a prefix");
  }
  if (!target.prefix.empty()) target.prefix += '/';
  if (!region.empty()) target.region = region;
  target.endpoint = endpoint.empty() ? base::StrCat("https://s3.", target.region, ".amazonaws.com")
                                     : std::string(endpoint);
  while (target.endpoint.ends_with('/')) target.endpoint.pop_back();
  const bool known =
      target.endpoint.starts_with("http://") || target.endpoint.starts_with("https://");
  if (!known || target.endpoint.find('/', target.endpoint.find("://") + 3) != std::string::npos) {
    return base::Invalid("--s3-endpoint: http:// or https:// and a host are expected");
  }
  std::vector<std::string_view> words;
  for (const std::string_view line : base::Split(credentials, '\n')) {
    if (const std::string_view word = base::Trim(line); !word.empty()) words.push_back(word);
  }
  if (words.size() != 2) {
    return base::Invalid(
        "--s3-credentials-file: two lines are expected, access key and secret key");
  }
  target.access_key = words[0];
  target.secret_key = words[1];
  return target;
}

}  // namespace posthorn::store_service
