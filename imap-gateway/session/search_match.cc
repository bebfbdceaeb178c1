#include "imap-gateway/session/search_match.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

using Kind = SearchKey::Kind;

Match Sure(bool yes) { return yes ? Match::kYes : Match::kNo; }

}  // namespace

bool IsRemote(Kind kind) {
  switch (kind) {
    case Kind::kHeader:
    case Kind::kBody:
    case Kind::kText:
    case Kind::kSentBefore:
    case Kind::kSentOn:
    case Kind::kSentSince:
      return true;
    default:
      return false;
  }
}

Matcher::Matcher(const SearchKey& key, const SearchScope& scope) : key_(key), scope_(scope) {
  Resolve(key);
}

void Matcher::Resolve(const SearchKey& key) {
  if (key.kind == Kind::kSequence) sets_[&key] = key.set.Resolve(scope_.largest_sequence);
  if (key.kind == Kind::kUid) sets_[&key] = key.set.Resolve(scope_.largest_uid);
  if (key.kind == Kind::kKeyword) {
    const auto& names = scope_.keyword_names;
    const auto found = std::find_if(names.begin(), names.end(), [&key](const std::string& name) {
      return base::EqualsIgnoreCase(name, key.text);
    });
    keywords_[&key] = found == names.end() ? -1 : static_cast<int>(found - names.begin());
  }
  for (const SearchKey& child : key.children) Resolve(child);
}

Match Matcher::Evaluate(const SearchKey& key, size_t row, uint32_t sequence) const {
  switch (key.kind) {
    case Kind::kAnd:
      return EvaluateAnd(key, row, sequence);
    case Kind::kOr:
      return EvaluateOr(key, row, sequence);
    case Kind::kNot: {
      const Match child = Evaluate(key.children[0], row, sequence);
      return child == Match::kUnknown ? child : Sure(child == Match::kNo);
    }
    default:
      break;
  }
  if (!IsRemote(key.kind)) return Sure(Local(key, row, sequence));
  const auto answer = scope_.answers.find(&key);
  if (answer == scope_.answers.end()) return Match::kUnknown;
  return Sure(answer->second.Contains(scope_.messages.uid(row)));
}

Match Matcher::EvaluateAnd(const SearchKey& key, size_t row, uint32_t sequence) const {
  Match result = Match::kYes;
  for (const SearchKey& child : key.children) {
    result = std::min(result, Evaluate(child, row, sequence));
    if (result == Match::kNo) break;
  }
  return result;
}

Match Matcher::EvaluateOr(const SearchKey& key, size_t row, uint32_t sequence) const {
  return std::max(Evaluate(key.children[0], row, sequence),
                  Evaluate(key.children[1], row, sequence));
}

bool Matcher::HasKeyword(const SearchKey& key, size_t row) const {
  const int position = keywords_.at(&key);
  return position >= 0 && position < 128 &&
         scope_.messages.keywords(row).Has(static_cast<size_t>(position));
}

bool Matcher::Local(const SearchKey& key, size_t row, uint32_t sequence) const {
  const MessageColumns& messages = scope_.messages;
  const auto number = static_cast<uint64_t>(key.number);
  switch (key.kind) {
    case Kind::kAllFlags:
      return (messages.flags(row) & number) == number;
    case Kind::kNoneOfFlags:
      return (messages.flags(row) & number) == 0;
    case Kind::kKeyword:
      return HasKeyword(key, row);
    case Kind::kNever:
      return false;
    case Kind::kSequence:
      return sets_.at(&key).Contains(sequence);
    case Kind::kUid:
      return sets_.at(&key).Contains(messages.uid(row));
    case Kind::kLarger:
      return messages.message_size(row) > number;
    case Kind::kSmaller:
      return messages.message_size(row) < number;
    // [RFC5032]
    case Kind::kYounger:
      return messages.internal_date(row).seconds >= scope_.now - key.number;
    case Kind::kOlder:
      return messages.internal_date(row).seconds <= scope_.now - key.number;
    case Kind::kModSeq:
      return messages.modseq(row) >= number;
    default:
      return LocalDate(key, row);
  }
}

bool Matcher::LocalDate(const SearchKey& key, size_t row) const {
  const int32_t day = LocalDay(scope_.messages.internal_date(row));
  const int32_t saved = LocalDay({scope_.messages.save_date(row), 0});
  switch (key.kind) {
    case Kind::kBefore:
      return day < key.number;
    case Kind::kOn:
      return day == key.number;
    case Kind::kSince:
      return day >= key.number;
    case Kind::kSavedBefore:
      return saved < key.number;
    case Kind::kSavedOn:
      return saved == key.number;
    case Kind::kSavedSince:
      return saved >= key.number;
    default:
      return false;
  }
}

}  // namespace posthorn::imap_gateway
