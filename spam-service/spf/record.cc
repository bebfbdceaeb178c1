#include "spam-service/spf/record.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "spam-service/spf/macro.h"

namespace posthorn::spam_service {
namespace {

using Kind = SpfMechanism::Kind;

constexpr std::string_view kVersion = "v=spf1";

bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
size_t NameLength(std::string_view term) {
  if (term.empty() || !IsAlpha(term.front())) return 0;
  const auto ends = [](char c) {
    return !IsAlpha(c) && !IsDigit(c) && c != '-' && c != '_' && c != '.';
  };
  return static_cast<size_t>(std::ranges::find_if(term, ends) - term.begin());
}

// ip4-cidr-length = "/" ("0" / %x31-39 0*1DIGIT), ip6 with up to two more digits.
std::optional<int> ParsePrefix(std::string_view digits, int max) {
  if (digits.size() > 1 && digits.front() == '0') return {};
  if (!std::ranges::all_of(digits, IsDigit)) return {};
  const std::optional<int> value = base::ParseInt<int>(digits);
  if (!value || *value > max) return {};
  return value;
}

// Takes "<slashes>digits" off the end of `text`; false when the number is out of range.
bool TakePrefix(std::string_view& text, std::string_view slashes, int max, int& prefix) {
  size_t at = text.size();
  while (at > 0 && IsDigit(text[at - 1])) --at;
  if (at == text.size() || !text.substr(0, at).ends_with(slashes)) return true;
  const std::optional<int> value = ParsePrefix(text.substr(at), max);
  if (!value) return false;
  prefix = *value;
  text.remove_suffix(text.size() - at + slashes.size());
  return true;
}

absl::Status BadTerm(std::string_view term) {
  return base::Invalid(base::StrCat("SPF term ", term));
}

// network with an optional prefix behind it
bool ParseNetwork(std::string_view text, SpfMechanism& mechanism) {
  const bool v4 = mechanism.kind == Kind::kIp4;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const std::optional<int> prefix = ParsePrefix(text.substr(slash + 1), v4 ? 32 : 128);
    if (!prefix) return false;
    (v4 ? mechanism.prefix4 : mechanism.prefix6) = *prefix;
  }
  const std::string_view host = text.substr(0, slash);
  if ((host.find(':') == std::string_view::npos) != v4) return false;
  const std::optional<net::Address> address = net::ParseAddress(host);
  if (!address) return false;
  mechanism.network = *address;
  // A v4-mapped ip6 network matches IPv4 clients: they are the same addresses to us.
  if (!v4 && address->is_v4) mechanism.prefix4 = std::max(0, mechanism.prefix6 - 96);
  return true;
}

// What may follow a mechanism's name.
enum class Needs { kNothing, kDomain, kDomainOrNot, kDomainAndPrefix, kNetwork };
struct Form {
  std::string_view name;
  Kind kind;
  Needs needs;
};
constexpr Form kForms[] = {
    {"all", Kind::kAll, Needs::kNothing},     {"include", Kind::kInclude, Needs::kDomain},
    {"a", Kind::kA, Needs::kDomainAndPrefix}, {"mx", Kind::kMx, Needs::kDomainAndPrefix},
    {"ptr", Kind::kPtr, Needs::kDomainOrNot}, {"ip4", Kind::kIp4, Needs::kNetwork},
    {"ip6", Kind::kIp6, Needs::kNetwork},     {"exists", Kind::kExists, Needs::kDomain},
};

// `rest`: what follows the name, with its ":" or "/".
bool ParseArguments(Needs needs, std::string_view rest, SpfMechanism& mechanism) {
  if (needs == Needs::kNothing) return rest.empty();
  if (needs == Needs::kNetwork)
    return rest.starts_with(':') && ParseNetwork(rest.substr(1), mechanism);
  if (needs == Needs::kDomainAndPrefix && (!TakePrefix(rest, "//", 128, mechanism.prefix6) ||
                                           !TakePrefix(rest, "/", 32, mechanism.prefix4)))
    return false;
  if (rest.empty()) return needs != Needs::kDomain;
  if (!rest.starts_with(':') || !IsDomainSpec(rest.substr(1))) return false;
  mechanism.domain = rest.substr(1);
  return true;
}

absl::Status AddMechanism(std::string_view term, SpfRecord& record) {
  constexpr std::string_view kQualifiers = "+-~?";
  constexpr SpfResult kResults[] = {SpfResult::kPass, SpfResult::kFail, SpfResult::kSoftFail,
                                    SpfResult::kNeutral};
  std::string_view rest = term;
  SpfMechanism mechanism;
  const size_t qualifier = kQualifiers.find(rest.front());
  if (qualifier != std::string_view::npos) {
    mechanism.when_matched = kResults[qualifier];
    rest.remove_prefix(1);
  }
  const std::string_view name = rest.substr(0, NameLength(rest));
  for (const Form& form : kForms) {
    if (!base::EqualsIgnoreCase(name, form.name)) continue;
    mechanism.kind = form.kind;
    if (!ParseArguments(form.needs, rest.substr(name.size()), mechanism)) return BadTerm(term);
    record.mechanisms.push_back(std::move(mechanism));
    return absl::OkStatus();
  }
  return BadTerm(term);
}

// modifier = redirect / explanation / unknown-modifier
absl::Status AddModifier(std::string_view name, std::string_view value, SpfRecord& record) {
  std::optional<std::string>* target = nullptr;
  if (base::EqualsIgnoreCase(name, "redirect")) target = &record.redirect;
  if (base::EqualsIgnoreCase(name, "exp")) target = &record.explanation;
  if (target == nullptr) {
    if (IsMacroString(value)) return absl::OkStatus();
    return BadTerm(name);
  }
  // [RFC7208 6] each of them at most once.
  if (target->has_value() || !IsDomainSpec(value)) return BadTerm(name);
  target->emplace(value);
  return absl::OkStatus();
}

}  // namespace

std::string_view SpfResultName(SpfResult result) {
  switch (result) {
    case SpfResult::kNone:
      return "none";
    case SpfResult::kNeutral:
      return "neutral";
    case SpfResult::kPass:
      return "pass";
    case SpfResult::kFail:
      return "fail";
    case SpfResult::kSoftFail:
      return "softfail";
    case SpfResult::kTempError:
      return "temperror";
    case SpfResult::kPermError:
      return "permerror";
  }
  return "none";
}

bool IsSpfRecord(std::string_view text) {
  return base::StartsWithIgnoreCase(text, kVersion) &&
         (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

absl::StatusOr<SpfRecord> ParseSpfRecord(std::string_view text) {
  if (!IsSpfRecord(text)) return base::Invalid("no SPF record");
  SpfRecord record;
  for (const std::string_view term : base::Split(text.substr(kVersion.size()), ' ')) {
    if (term.empty()) continue;
    const size_t name = NameLength(term);
    const bool modifier = name > 0 && name < term.size() && term[name] == '=';
    RETURN_IF_ERROR(modifier ? AddModifier(term.substr(0, name), term.substr(name + 1), record)
                             : AddMechanism(term, record));
  }
  return record;
}

}  // namespace posthorn::spam_service
