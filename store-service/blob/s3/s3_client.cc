#include "store-service/blob/s3/s3_client.h"

#include <curl/curl.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "store-service/blob/s3/s3_answers.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kMostIdle = 16;
constexpr int kListed = 1000;  // the servers may answer fewer at a time
constexpr uint64_t kMostAnswer = uint64_t{80} << 20;

std::string EncodeForUrl(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      base::StrAppend(out, "%", base::Upper(base::Hex({&c, 1})));
    }
  }
  return out;
}

struct Metrics {
  observe::Histogram* seconds = observe::NewHistogram("posthorn_store_s3_request_seconds",
                                                      "One try of a request to the object store");
  observe::Counter* repeated = observe::NewCounter("posthorn_store_s3_repeated_total",
                                                   "Requests to the object store tried again");
  observe::Counter* failed = observe::NewCounter("posthorn_store_s3_failed_total",
                                                 "Requests to the object store given up");
};
const Metrics& TheMetrics() {
  static const Metrics kMetrics;
  return kMetrics;
}

}  // namespace

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return base::Hex({reinterpret_cast<const char*>(digest), size});
}

struct S3Client::Request {
  const char* method = "GET";
  std::string name;   // empty: the bucket
  std::string query;  // sorted and encoded, as it is signed
  std::string range;
  std::optional<std::string_view> body;
};
struct S3Client::Reply {
  int curl = 0;
  long status = 0;  // 0: none came
  std::string text;
  uint64_t object_size = 0;
  std::string what;
};

class S3Client::Handle {
 public:
  Handle() : curl_(curl_easy_init()) {}
  ~Handle() { curl_easy_cleanup(curl_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  template <class T>
  void Set(CURLoption option, T value) {
    curl_easy_setopt(curl_, option, value);
  }
  void Prepare(std::optional<std::string_view> body) {
    curl_easy_reset(curl_);  // keeps its connections
    answer_.clear();
    object_size_ = 0;
    error_[0] = '\0';
    Set(CURLOPT_ERRORBUFFER, error_);
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_WRITEFUNCTION, &Handle::OnAnswer);
    Set(CURLOPT_WRITEDATA, this);
    Set(CURLOPT_HEADERFUNCTION, &Handle::OnHeader);
    Set(CURLOPT_HEADERDATA, this);
    if (!body) return;
    // As a POST's: a PUT's would be announced by "Expect:" and wait for leave each time.
    Set(CURLOPT_POST, 1L);
    Set(CURLOPT_POSTFIELDS, body->data());
    Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    Set(CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
  }
  Reply Perform() {
    Reply reply;
    reply.curl = curl_easy_perform(curl_);
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &reply.status);
    if (reply.curl != CURLE_OK) {
      reply.what =
          error_[0] != '\0' ? error_ : curl_easy_strerror(static_cast<CURLcode>(reply.curl));
    }
    reply.text = std::move(answer_);
    reply.object_size = object_size_;
    return reply;
  }

 private:
  static size_t OnAnswer(char* bytes, size_t, size_t count, void* self) {
    std::string& answer = static_cast<Handle*>(self)->answer_;
    if (answer.size() + count > kMostAnswer) return 0;
    answer.append(bytes, count);
    return count;
  }
  static size_t OnHeader(char* bytes, size_t, size_t count, void* self) {
    const std::string_view line(bytes, count);
    constexpr std::string_view kRange = "content-range:";
    if (base::StartsWithIgnoreCase(line, kRange)) {
      const std::string_view size = base::Trim(line.substr(line.rfind('/') + 1));
      static_cast<Handle*>(self)->object_size_ = base::ParseInt<uint64_t>(size).value_or(0);
    }
    return count;
  }
  CURL* const curl_;
  std::string answer_;
  uint64_t object_size_ = 0;
  char error_[CURL_ERROR_SIZE] = "";
};

S3Client::S3Client(S3Target target, S3Timing timing) : target_(std::move(target)), timing_(timing) {
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)kInitialised;
}
S3Client::~S3Client() = default;

std::unique_ptr<S3Client::Handle> S3Client::Take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Handle>();
  std::unique_ptr<Handle> handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void S3Client::Give(std::unique_ptr<Handle> handle) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMostIdle) idle_.push_back(std::move(handle));
}

std::string S3Client::UrlOf(const Request& request) const {
  std::string url = base::StrCat(target_.endpoint, "/", target_.bucket);
  // Names and prefix are made of letters that need no encoding: what is sent is what is signed.
  if (!request.name.empty()) base::StrAppend(url, "/", target_.prefix, request.name);
  if (!request.query.empty()) base::StrAppend(url, "?", request.query);
  return url;
}

S3Client::Reply S3Client::Once(const Request& request) {
  std::unique_ptr<Handle> handle = Take();
  handle->Prepare(request.body);
  const std::string url = UrlOf(request);
  const std::string provider = base::StrCat("aws:amz:", target_.region, ":s3");
  handle->Set(CURLOPT_URL, url.c_str());
  handle->Set(CURLOPT_PROTOCOLS_STR, "http,https");
  handle->Set(CURLOPT_CUSTOMREQUEST, request.method);
  handle->Set(CURLOPT_AWS_SIGV4, provider.c_str());
  handle->Set(CURLOPT_USERNAME, target_.access_key.c_str());
  handle->Set(CURLOPT_PASSWORD, target_.secret_key.c_str());
  handle->Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timing_.connect_ms));
  handle->Set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  handle->Set(CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(timing_.stall_ms / 1000)));
  // A server that sends a byte now and then holds nobody for ever: a megabyte a second is asked.
  const size_t size = request.body.value_or("").size();
  handle->Set(CURLOPT_TIMEOUT_MS,
              static_cast<long>(timing_.stall_ms * 3 + static_cast<int64_t>(size / 1000)));
  if (!request.range.empty()) handle->Set(CURLOPT_RANGE, request.range.c_str());
  // Named here, so that it is signed with the port, which some versions of libcurl leave out. What
  // is named is signed, also what is not sent: never "Expect:".
  const std::string host =
      base::StrCat("Host: ", target_.endpoint.substr(target_.endpoint.find("://") + 3));
  const std::string hash =
      base::StrCat("x-amz-content-sha256: ", Sha256Hex(request.body.value_or("")));
  curl_slist* headers = curl_slist_append(nullptr, host.c_str());
  headers = curl_slist_append(headers, hash.c_str());
  if (request.body) {
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
  }
  handle->Set(CURLOPT_HTTPHEADER, headers);
  Reply reply = handle->Perform();
  curl_slist_free_all(headers);
  Give(std::move(handle));
  return reply;
}

absl::StatusOr<S3Client::Reply> S3Client::Repeat(Request request) {
  thread_local std::minstd_rand random(std::random_device{}());
  const int64_t began = base::MonotonicMicros();
  int64_t pause = timing_.first_pause_ms;
  for (;;) {
    const int64_t start = base::MonotonicMicros();
    Reply reply = Once(request);
    TheMetrics().seconds->Observe(static_cast<double>(base::MonotonicMicros() - start) / 1e6);
    const S3Outcome outcome = JudgeAnswer(reply.curl == CURLE_OK, reply.status, reply.text);
    if (outcome.status.ok()) return reply;
    const int64_t spent = (base::MonotonicMicros() - began) / 1000;
    if (!outcome.again || spent + pause > timing_.give_up_ms) {
      if (absl::IsNotFound(outcome.status)) return outcome.status;
      TheMetrics().failed->Add();
      const std::string what =
          base::StrCat(request.method, " ", target_.bucket, "/", target_.prefix, request.name, ": ",
                       base::Message(outcome.status), reply.what.empty() ? "" : ": ", reply.what);
      (outcome.refused ? observe::Error : observe::Warning)("store.s3.failed", {{"error", what}});
      return base::Error(outcome.status.code(), what);
    }
    TheMetrics().repeated->Add();
    // Half of it by chance, so that stores that were refused together do not come back together.
    const int64_t wait = pause / 2 + static_cast<int64_t>(random() % static_cast<uint64_t>(pause));
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    pause = std::min(pause * 2, timing_.longest_pause_ms);
  }
}

absl::Status S3Client::Put(const std::string& name, std::string_view bytes) {
  if (bytes.size() > kMostPut) {
    return base::Exhausted(base::StrCat(name, " of ", bytes.size(), " bytes is too large"));
  }
  return Repeat({.method = "PUT", .name = name, .body = bytes}).status();
}

absl::StatusOr<S3Range> S3Client::Get(const std::string& name, uint64_t offset, uint64_t length) {
  ASSIGN_OR_RETURN(Reply reply,
                   Repeat({.name = name, .range = base::StrCat(offset, "-", offset + length - 1)}));
  if (reply.status == 416) return S3Range{};  // all of it lies behind the end
  if (reply.status == 206) return S3Range{std::move(reply.text), reply.object_size};
  // The whole object, from a server that knows no ranges.
  S3Range range;
  range.object_size = reply.text.size();
  if (offset < reply.text.size()) range.bytes = reply.text.substr(offset, length);
  return range;
}

absl::Status S3Client::Delete(const std::string& name) {
  const absl::Status status = Repeat({.method = "DELETE", .name = name}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<S3Listing> S3Client::ListAfter(const std::string& prefix, const std::string& after) {
  // Signed as it stands here: the parameters in order.
  std::string query = base::StrCat("list-type=2&max-keys=", kListed,
                                   "&prefix=", EncodeForUrl(target_.prefix + prefix));
  if (!after.empty()) {
    base::StrAppend(query, "&start-after=", EncodeForUrl(target_.prefix + after));
  }
  const absl::StatusOr<Reply> reply = Repeat({.query = std::move(query)});
  // What cannot be listed is the bucket, or the way to it.
  if (absl::IsNotFound(reply.status())) return base::Unavailable("the bucket cannot be found");
  RETURN_IF_ERROR(reply.status());
  return ParseListing(reply->text, target_.prefix);
}

absl::StatusOr<std::vector<S3Object>> S3Client::List(const std::string& prefix) {
  std::vector<S3Object> all;
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(S3Listing page, ListAfter(prefix, all.empty() ? "" : all.back().name));
    if (page.more && page.objects.empty()) return base::Unavailable("the listing does not go on");
    more = page.more;
    std::move(page.objects.begin(), page.objects.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace posthorn::store_service
