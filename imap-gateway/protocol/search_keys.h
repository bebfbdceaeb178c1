#pragma once

// search-key as a tree ([RFC9051 6.4.4], [RFC7162 3.1.5], [RFC5032], [RFC8514 4.3]).

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imap-gateway/protocol/number_set.h"
#include "imap-gateway/protocol/scanner.h"

namespace posthorn::imap_gateway {

struct SearchKey {
  enum class Kind : uint8_t {
    kAnd,  // all of `children`; none: everything
    kOr,
    kNot,
    kAllFlags,  // every bit of `number`
    kNoneOfFlags,
    kKeyword,   // `text`
    kNever,     // RECENT, NEW, OLD's opposite: we never have \Recent messages
    kSequence,  // `set`
    kUid,       // `set`
    kBefore,    // internal date: day < number
    kOn,
    kSince,
    kSentBefore,  // Date header
    kSentOn,
    kSentSince,
    kSavedBefore,
    kSavedOn,
    kSavedSince,
    kLarger,
    kSmaller,
    kYounger,  // seconds
    kOlder,
    kModSeq,  // modseq >= number
    kHeader,  // `field` contains `text`
    kBody,
    kText,
  };
  Kind kind = Kind::kAnd;
  int64_t number = 0;
  SequenceSet set;
  std::string field;
  std::string text;
  std::vector<SearchKey> children;
};

// [RFC9051 6.4.4] RETURN options; `any` false: plain SEARCH.
struct SearchReturn {
  bool any = false;
  bool min = false;
  bool max = false;
  bool all = false;
  bool count = false;
};

struct SearchArguments {
  SearchReturn options;
  SearchKey key;
  bool has_modseq = false;
};

// Everything behind "SEARCH ". kUnimplemented: a charset other than US-ASCII and UTF-8
// ([BADCHARSET]).
absl::StatusOr<SearchArguments> ParseSearch(Scanner& scan);

}  // namespace posthorn::imap_gateway
