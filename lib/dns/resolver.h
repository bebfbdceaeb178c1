#pragma once

// Questions to the DNS. An interface, so that policies are tested against
// lib/testing/fake_resolver.h.
//
// What a caller learns:
//   an Answer with outcome kFound      records of the type asked; aliases (CNAME) were followed
//   an Answer with outcome kNoData     the name exists, the type does not
//   an Answer with outcome kNxDomain   the name does not exist
//   kUnavailable                       no answer in time (IsTimeout) or SERVFAIL, REFUSED: try
//   again later kDataLoss                          DNSSEC says the answer is forged (bogus):
//   temporary as well kInvalidArgument                   not a name that can be asked for

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/task.h"

namespace posthorn::net {
class Loop;
}

namespace posthorn::dns {

// [RFC1035 3.2.2] and later; the values are those of the wire.
enum class Type : uint16_t {
  kA = 1,
  kNs = 2,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kTlsa = 52,
};

enum class Outcome { kFound, kNoData, kNxDomain };

struct Answer {
  Outcome outcome = Outcome::kNxDomain;
  // DNSSEC proved the answer (also that there is none).
  bool secure = false;
  // Where the aliases ended; the name asked when there were none. Lower case, no dot at the end.
  std::string canonical_name;
  uint32_t ttl = 0;  // seconds
  // The record data as on the wire, names not compressed; see records.h for reading it.
  std::vector<std::string> records;
};

inline constexpr std::chrono::milliseconds kQueryTimeout{10000};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // On the loop's thread; never blocks. The coroutine may be destroyed at any time. A dot at the
  // end of `name` may be left out: all names are absolute.
  virtual net::Task<absl::StatusOr<Answer>> Query(
      std::string name, Type type, std::chrono::milliseconds timeout = kQueryTimeout) = 0;
};

// kUnavailable because the time was over.
absl::Status TimeoutError();
bool IsTimeout(const absl::Status& status);

}  // namespace posthorn::dns
