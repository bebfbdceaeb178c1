#pragma once

// What a FETCH asks for ([RFC9051 6.4.5], [RFC7162 3.1.4], [RFC8514]).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "imap-gateway/protocol/scanner.h"

namespace posthorn::imap_gateway {

enum FetchAttribute : uint32_t {
  kFetchUid = 1,
  kFetchFlags = 2,
  kFetchInternalDate = 4,
  kFetchSize = 8,
  kFetchEnvelope = 16,
  kFetchBody = 32,  // BODY without brackets: the structure without extensions
  kFetchBodyStructure = 64,
  kFetchModSeq = 128,
  kFetchSaveDate = 256,
};

// One BODY[…]<…>, or an RFC822 item that stands for one.
struct FetchSection {
  enum class Kind : uint8_t { kAll, kHeader, kHeaderFields, kHeaderFieldsNot, kText, kMime };
  Kind kind = Kind::kAll;
  bool peek = false;
  std::vector<uint32_t> part;       // "1.2" is {1, 2}
  std::vector<std::string> fields;  // of HEADER.FIELDS, upper case
  std::optional<uint64_t> offset;   // of <offset.length>
  uint64_t length = 0;
  std::string label;  // what the response calls it: "BODY[1.2]<0>", "RFC822.HEADER"
};

struct FetchItems {
  uint32_t attributes = 0;
  std::vector<FetchSection> sections;
  bool Wants(FetchAttribute attribute) const { return (attributes & attribute) != 0; }
};

// fetch-att, a list of them, or a macro.
absl::StatusOr<FetchItems> ParseFetchItems(Scanner& scan);

}  // namespace posthorn::imap_gateway
