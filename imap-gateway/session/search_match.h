#pragma once

// Evaluates a search tree over a view. Keys that need the store (text, Date header) are answered
// from sets that were fetched before; where one is still missing the answer is "unknown". Pure.

#include <cstdint>
#include <map>
#include <vector>

#include "imap-gateway/protocol/search_keys.h"
#include "imap-gateway/view/columns.h"

namespace posthorn::imap_gateway {

enum class Match : uint8_t { kNo, kUnknown, kYes };

// Uids that match a key of the store's, by the key's address; a key that is not in it is unknown.
using RemoteAnswers = std::map<const SearchKey*, NumberSet>;

struct SearchScope {
  const MessageColumns& messages;
  const std::vector<std::string>& keyword_names;
  const RemoteAnswers& answers;
  int64_t now = 0;  // seconds since 1970
  uint32_t largest_sequence = 0;
  uint32_t largest_uid = 0;
};

// True for keys that need the store.
bool IsRemote(SearchKey::Kind kind);

class Matcher {
 public:
  // Resolves the tree's sets once. `key` and `scope` outlive it.
  Matcher(const SearchKey& key, const SearchScope& scope);
  Match Matches(size_t row, uint32_t sequence) const { return Evaluate(key_, row, sequence); }

 private:
  void Resolve(const SearchKey& key);
  Match Evaluate(const SearchKey& key, size_t row, uint32_t sequence) const;
  Match EvaluateAnd(const SearchKey& key, size_t row, uint32_t sequence) const;
  Match EvaluateOr(const SearchKey& key, size_t row, uint32_t sequence) const;
  bool Local(const SearchKey& key, size_t row, uint32_t sequence) const;
  bool LocalDate(const SearchKey& key, size_t row) const;
  bool HasKeyword(const SearchKey& key, size_t row) const;

  const SearchKey& key_;
  const SearchScope& scope_;
  std::map<const SearchKey*, NumberSet> sets_;
  std::map<const SearchKey*, int> keywords_;  // position of the name; -1: no such keyword
};

}  // namespace posthorn::imap_gateway
