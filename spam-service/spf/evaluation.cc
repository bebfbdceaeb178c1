#include "spam-service/spf/evaluation.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/dns/records.h"

namespace posthorn::spam_service {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Kind = SpfMechanism::Kind;

// For the operator: what matched.
std::string Describe(const SpfMechanism& mechanism) {
  static constexpr std::string_view kNames[] = {"all", "include", "a",   "mx",
                                                "ptr", "ip4",     "ip6", "exists"};
  return base::StrCat(kNames[static_cast<size_t>(mechanism.kind)],
                      mechanism.domain.empty() ? "" : ":", mechanism.domain);
}

}  // namespace

bool SamePrefix(const net::Address& a, const net::Address& b, int bits) {
  if (a.is_v4 != b.is_v4) return false;
  for (size_t i = 0; bits > 0; ++i, bits -= 8) {
    const int mask = bits >= 8 ? 0xff : 0xff00 >> bits & 0xff;
    if (((a.bytes[i] ^ b.bytes[i]) & mask) != 0) return false;
  }
  return true;
}

bool IsCheckableDomain(std::string_view domain) {
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (domain.find('.') == std::string_view::npos || domain.starts_with('[')) return false;
  return dns::QuestionName(domain).ok();
}

milliseconds SpfEvaluation::Left() const {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline_ - Clock::now()));
}

SpfEvaluation::Match SpfEvaluation::Fail(SpfResult result, std::string_view reason) {
  error_ = result;
  answer_.reason = reason;
  return Match::kError;
}

SpfEvaluation::Match SpfEvaluation::FailLookup(const absl::Status& status) {
  // [RFC7208 4.8] a name that cannot be asked for does not match.
  if (absl::IsInvalidArgument(status)) return Match::kNo;
  answer_.timed_out = dns::IsTimeout(status);
  return Fail(SpfResult::kTempError, base::Message(status));
}

bool SpfEvaluation::CountLookup() {
  if (++lookups_ <= kSpfMaxLookups) return true;
  Fail(SpfResult::kPermError, "more than 10 terms that ask the DNS");
  return false;
}

bool SpfEvaluation::CountVoid(dns::Outcome outcome) {
  if (outcome == dns::Outcome::kFound || ++voids_ <= kSpfMaxVoidLookups) return true;
  Fail(SpfResult::kPermError, "more than 2 names without records");
  return false;
}

net::Task<SpfAnswer> SpfEvaluation::Run() {
  answer_.domain = values_.origin;
  const SpfResult result = co_await CheckHost(values_.origin, Nesting::kTop);
  answer_.result = result;
  if (result != SpfResult::kTempError) answer_.timed_out = false;
  if (result != SpfResult::kFail) answer_.explanation.clear();
  co_return std::move(answer_);
}

net::Task<SpfResult> SpfEvaluation::CheckHost(std::string domain, Nesting nesting) {
  if (!IsCheckableDomain(domain)) {
    answer_.reason = "not a domain that can have a record";
    co_return SpfResult::kNone;
  }
  const absl::StatusOr<dns::Texts> found = co_await dns::LookupTxt(resolver_, domain, Left());
  if (!found.ok()) {
    FailLookup(found.status());
    co_return SpfResult::kTempError;
  }
  const auto is_record = [](const std::string& text) { return IsSpfRecord(text); };
  const auto record = std::ranges::find_if(found->texts, is_record);
  if (record == found->texts.end()) {
    answer_.reason = base::StrCat(domain, " has no record");
    co_return SpfResult::kNone;
  }
  // [RFC7208 4.5]
  if (std::ranges::count_if(found->texts, is_record) > 1) {
    answer_.reason = base::StrCat(domain, " has more than one record");
    co_return SpfResult::kPermError;
  }
  absl::StatusOr<SpfRecord> parsed = ParseSpfRecord(*record);
  if (!parsed.ok()) {
    answer_.reason = base::StrCat(domain, ": ", base::Message(parsed.status()));
    co_return SpfResult::kPermError;
  }
  co_return co_await Evaluate(*std::move(parsed), std::move(domain), nesting);
}

net::Task<SpfResult> SpfEvaluation::Evaluate(SpfRecord record, std::string domain,
                                             Nesting nesting) {
  for (const SpfMechanism& mechanism : record.mechanisms) {
    const Match match = co_await Matches(mechanism, domain);
    if (match == Match::kError) co_return error_;
    if (match == Match::kNo) continue;
    answer_.reason = base::StrCat(domain, ": ", Describe(mechanism));
    // [RFC7208 6.2] only the record that decides speaks, never an included one.
    if (mechanism.when_matched == SpfResult::kFail && record.explanation &&
        nesting == Nesting::kTop)
      answer_.explanation = co_await Explain(*record.explanation, domain);
    co_return mechanism.when_matched;
  }
  if (record.redirect)
    co_return co_await Redirect(*std::move(record.redirect), std::move(domain), nesting);
  answer_.reason = base::StrCat(domain, ": nothing matched");
  co_return SpfResult::kNeutral;  // [RFC7208 4.7]
}

net::Task<SpfResult> SpfEvaluation::Redirect(std::string spec, std::string domain,
                                             Nesting nesting) {
  if (!CountLookup()) co_return error_;
  const SpfResult result =
      co_await CheckHost(co_await Target(std::move(spec), std::move(domain)), nesting);
  // [RFC7208 6.1]
  co_return result == SpfResult::kNone ? SpfResult::kPermError : result;
}

net::Task<SpfEvaluation::Match> SpfEvaluation::Matches(const SpfMechanism& mechanism,
                                                       std::string domain) {
  if (mechanism.kind == Kind::kAll) co_return Match::kYes;
  if (mechanism.kind == Kind::kIp4 || mechanism.kind == Kind::kIp6) {
    const int bits = values_.client.is_v4 ? mechanism.prefix4 : mechanism.prefix6;
    co_return SamePrefix(values_.client, mechanism.network, bits) ? Match::kYes : Match::kNo;
  }
  if (!CountLookup()) co_return Match::kError;
  std::string target = domain;
  if (!mechanism.domain.empty()) target = co_await Target(mechanism.domain, std::move(domain));
  // [RFC7208 4.8] what cannot be asked for does not match; an include of it has no record.
  if (target.empty() && mechanism.kind != Kind::kInclude) co_return Match::kNo;
  switch (mechanism.kind) {
    case Kind::kInclude:
      co_return co_await MatchesInclude(std::move(target));
    case Kind::kA:
      co_return co_await MatchesHost(mechanism, std::move(target));
    case Kind::kMx:
      co_return co_await MatchesMx(mechanism, std::move(target));
    case Kind::kPtr:
      co_return co_await MatchesPtr(std::move(target));
    case Kind::kExists:
      co_return co_await MatchesExists(std::move(target));
    case Kind::kAll:
    case Kind::kIp4:
    case Kind::kIp6:
      break;
  }
  co_return Match::kNo;
}

// [RFC7208 5.2]
net::Task<SpfEvaluation::Match> SpfEvaluation::MatchesInclude(std::string target) {
  const SpfResult result = co_await CheckHost(target, Nesting::kIncluded);
  switch (result) {
    case SpfResult::kPass:
      co_return Match::kYes;
    case SpfResult::kFail:
    case SpfResult::kSoftFail:
    case SpfResult::kNeutral:
      co_return Match::kNo;
    case SpfResult::kTempError:
      error_ = SpfResult::kTempError;
      co_return Match::kError;
    case SpfResult::kNone:
    case SpfResult::kPermError:
      break;
  }
  error_ = SpfResult::kPermError;
  co_return Match::kError;
}

net::Task<absl::StatusOr<dns::Addresses>> SpfEvaluation::ClientFamily(std::string host) {
  if (values_.client.is_v4) co_return co_await dns::LookupV4(resolver_, std::move(host), Left());
  co_return co_await dns::LookupV6(resolver_, std::move(host), Left());
}

// [RFC7208 5.3]
net::Task<SpfEvaluation::Match> SpfEvaluation::MatchesHost(const SpfMechanism& mechanism,
                                                           std::string host) {
  const absl::StatusOr<dns::Addresses> found = co_await ClientFamily(std::move(host));
  if (!found.ok()) co_return FailLookup(found.status());
  if (!CountVoid(found->outcome)) co_return Match::kError;
  const bool v4 = values_.client.is_v4;
  for (const std::string& text : v4 ? found->v4 : found->v6) {
    const std::optional<net::Address> address = net::ParseAddress(text);
    if (address && SamePrefix(*address, values_.client, v4 ? mechanism.prefix4 : mechanism.prefix6))
      co_return Match::kYes;
  }
  co_return Match::kNo;
}

// [RFC7208 5.4]
net::Task<SpfEvaluation::Match> SpfEvaluation::MatchesMx(const SpfMechanism& mechanism,
                                                         std::string target) {
  const absl::StatusOr<dns::MailHosts> found =
      co_await dns::LookupMx(resolver_, std::move(target), Left());
  if (!found.ok()) co_return FailLookup(found.status());
  if (!CountVoid(found->outcome)) co_return Match::kError;
  for (size_t i = 0; i < found->hosts.size(); ++i) {
    if (i == kSpfMaxHosts) co_return Fail(SpfResult::kPermError, "mx with more than 10 hosts");
    const Match match = co_await MatchesHost(mechanism, found->hosts[i].name);
    if (match != Match::kNo) co_return match;
  }
  co_return Match::kNo;
}

// [RFC7208 5.7] always A, whatever the client's family.
net::Task<SpfEvaluation::Match> SpfEvaluation::MatchesExists(std::string target) {
  const absl::StatusOr<dns::Addresses> found =
      co_await dns::LookupV4(resolver_, std::move(target), Left());
  if (!found.ok()) co_return FailLookup(found.status());
  if (!CountVoid(found->outcome)) co_return Match::kError;
  co_return found->v4.empty() ? Match::kNo : Match::kYes;
}

}  // namespace posthorn::spam_service
