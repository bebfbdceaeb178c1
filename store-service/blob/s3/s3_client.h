#pragma once

// The few requests of S3 that the store needs, signed (SigV4), repeated when that may help, and
// mapped to our errors. libcurl's headers stay in the .cc files. Any thread; blocks.
//
// Errors: kNotFound: no such object. kResourceExhausted: the quota is used up or the service is
// full. kUnavailable: everything else, after the last try; a refusal (403, no such bucket) is
// logged as an error too, for no mail flows until a person acts.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace posthorn::store_service {

struct S3Target {
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com", no slash at the end
  std::string region = "us-east-1";
  std::string bucket;
  std::string prefix;  // "" or "mail/": before every name
  std::string access_key;
  std::string secret_key;
};
// `url`: s3://BUCKET[/PREFIX]; `credentials`: the file's text, access key and secret key on a line
// each. An empty endpoint is Amazon's for the region. kInvalidArgument says what is wrong.
absl::StatusOr<S3Target> ParseS3Target(std::string_view url, std::string_view endpoint,
                                       std::string_view region, std::string_view credentials);

struct S3Timing {
  int64_t connect_ms = 3'000;
  // No byte for so long: this try is over.
  int64_t stall_ms = 10'000;
  int64_t first_pause_ms = 50;
  int64_t longest_pause_ms = 3'000;
  // After so long no further try begins.
  int64_t give_up_ms = 20'000;
};

// What the servers take in one request.
inline constexpr uint64_t kMostPut = uint64_t{5} << 30;

struct S3Range {
  std::string bytes;
  uint64_t object_size = 0;
};
struct S3Object {
  std::string name;  // without the prefix
  uint64_t size = 0;
  int64_t modified_ms = 0;
};

struct S3Listing {
  std::vector<S3Object> objects;
  bool more = false;
};

class S3Client {
 public:
  S3Client(S3Target target, S3Timing timing);
  ~S3Client();
  S3Client(const S3Client&) = delete;
  S3Client& operator=(const S3Client&) = delete;

  // kResourceExhausted also for more than kMostPut: there are no uploads in parts.
  absl::Status Put(const std::string& name, std::string_view bytes);
  // At most `length` bytes from `offset`; fewer only at the object's end.
  absl::StatusOr<S3Range> Get(const std::string& name, uint64_t offset, uint64_t length);
  // OK also when it was not there.
  absl::Status Delete(const std::string& name);
  // All objects whose names begin with `prefix`, in order. May be many requests.
  absl::StatusOr<std::vector<S3Object>> List(const std::string& prefix);
  const S3Target& target() const { return target_; }

 private:
  struct Request;
  struct Reply;
  class Handle;
  absl::StatusOr<S3Listing> ListAfter(const std::string& prefix, const std::string& after);
  absl::StatusOr<Reply> Repeat(Request request);
  Reply Once(const Request& request);
  std::unique_ptr<Handle> Take();
  void Give(std::unique_ptr<Handle> handle);
  std::string UrlOf(const Request& request) const;

  const S3Target target_;
  const S3Timing timing_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_;  // with their open connections
};

std::string Sha256Hex(std::string_view bytes);

}  // namespace posthorn::store_service
