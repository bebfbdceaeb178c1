#pragma once

// One run of check_host with its limits. Lives in the coroutine that runs it.

#include <optional>
#include <string>
#include <vector>

#include "lib/dns/lookup.h"
#include "spam-service/spf/check.h"
#include "spam-service/spf/macro.h"

namespace posthorn::spam_service {

// Invariants: 1. At most kSpfMaxLookups terms ask the DNS over all included and redirected records,
// so that recursion and work are bounded by it. 2. The first error ends the run.
class SpfEvaluation {
 public:
  SpfEvaluation(dns::Resolver& resolver, MacroValues values,
                std::chrono::steady_clock::time_point deadline)
      : resolver_(resolver), values_(std::move(values)), deadline_(deadline) {}
  net::Task<SpfAnswer> Run();

 private:
  // An error is kTempError or kPermError, said to error().
  enum class Match { kYes, kNo, kError };
  enum class Nesting { kTop, kIncluded };

  net::Task<SpfResult> CheckHost(std::string domain, Nesting nesting);
  net::Task<SpfResult> Evaluate(SpfRecord record, std::string domain, Nesting nesting);
  net::Task<SpfResult> Redirect(std::string spec, std::string domain, Nesting nesting);
  net::Task<Match> Matches(const SpfMechanism& mechanism, std::string domain);
  net::Task<Match> MatchesInclude(std::string target);
  net::Task<Match> MatchesHost(const SpfMechanism& mechanism, std::string host);
  net::Task<Match> MatchesMx(const SpfMechanism& mechanism, std::string target);
  net::Task<Match> MatchesPtr(std::string target);
  net::Task<Match> MatchesExists(std::string target);

  // The expansion for `domain`, with %{p} looked up when it occurs.
  net::Task<std::string> Target(std::string spec, std::string domain);
  // Names of the client that lead back to it. [RFC7208 5.5]
  net::Task<std::vector<std::string>> ValidatedNames();
  net::Task<std::string> ValidatedName(std::string domain);
  net::Task<std::string> Explain(std::string spec, std::string domain);
  net::Task<absl::StatusOr<dns::Addresses>> ClientFamily(std::string host);

  // Counts a term that asks the DNS; false when there were too many.
  bool CountLookup();
  // Counts an answer without records; false when there were too many.
  bool CountVoid(dns::Outcome outcome);
  Match Fail(SpfResult result, std::string_view reason);
  Match FailLookup(const absl::Status& status);
  std::chrono::milliseconds Left() const;

  dns::Resolver& resolver_;
  MacroValues values_;
  std::chrono::steady_clock::time_point deadline_;
  int lookups_ = 0;
  int voids_ = 0;
  SpfAnswer answer_;
  SpfResult error_ = SpfResult::kPermError;  // after Match::kError
  std::optional<std::vector<std::string>> validated_;
  dns::Outcome ptr_outcome_ = dns::Outcome::kFound;  // of the question for the client's names
};

// True when the first `bits` of both agree; false for different families.
bool SamePrefix(const net::Address& a, const net::Address& b, int bits);
// [RFC7208 4.3] at least two labels, none empty or over 63 octets, not an address literal.
bool IsCheckableDomain(std::string_view domain);

}  // namespace posthorn::spam_service
