#pragma once

// An SPF record [RFC7208 12], parsed. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/network.h"

namespace posthorn::spam_service {

enum class SpfResult { kNone, kNeutral, kPass, kFail, kSoftFail, kTempError, kPermError };
// "pass", "softfail" …, as in [RFC8601 2.7.2].
std::string_view SpfResultName(SpfResult result);

struct SpfMechanism {
  enum class Kind { kAll, kInclude, kA, kMx, kPtr, kIp4, kIp6, kExists };
  Kind kind = Kind::kAll;
  SpfResult when_matched = SpfResult::kPass;  // its qualifier
  std::string domain;    // domain-spec, macros not expanded; empty: the current domain
  net::Address network;  // kIp4, kIp6
  int prefix4 = 32;
  int prefix6 = 128;
};

struct SpfRecord {
  std::vector<SpfMechanism> mechanisms;
  std::optional<std::string> redirect, explanation;  // domain-specs
};

// True for "v=spf1" alone or followed by a blank. [RFC7208 4.5]
bool IsSpfRecord(std::string_view text);
// kInvalidArgument, with the term that is wrong, where the RFC says permerror.
absl::StatusOr<SpfRecord> ParseSpfRecord(std::string_view text);

}  // namespace posthorn::spam_service
