#pragma once

// What holds for every configuration object, whatever its kind: defaults, rules, secrets,
// differences. Pure.

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/config/schema.h"

namespace posthorn::config {

// Each default exists for new installations and for imported ones (lenient where their users rely
// on it).
enum class Profile { kModern, kHMailServer };

// Gives `field` its default; nothing when it declares none.
absl::Status SetDefault(google::protobuf::Message& object,
                        const google::protobuf::FieldDescriptor& field, Profile profile);
// Gives every field without a value its default. Fields without presence count as unset only when
// `object` is new.
enum class Age { kNew, kStored };
void ApplyDefaults(google::protobuf::Message& object, Profile profile, Age age);

// The object's name: its key field, or "default".
std::string NameOf(const Kind& kind, const google::protobuf::Message& object);
// All rules of all fields that need no other object; every violation is a line "field: what is
// wrong".
absl::Status Validate(const Kind& kind, const google::protobuf::Message& object);

inline constexpr std::string_view kMask = "********";
// Secrets that have a value become kMask; write-only fields are cleared.
void MaskSecrets(google::protobuf::Message& object);
// Secrets of `object` that hold kMask take the value they have in `stored` (an export that is
// applied again).
void RestoreMasked(google::protobuf::Message& object, const google::protobuf::Message* stored);

struct FieldDifference {
  std::string field;
  std::string before;  // text form, secrets masked
  std::string after;
};
// Both of one kind; either may be null (an object that came or went: every field that has a value).
std::vector<FieldDifference> Compare(const google::protobuf::Message* before,
                                     const google::protobuf::Message* after);

struct Reference {
  std::string field;
  std::string kind;  // full name
  std::string name;
};
// Which other objects this one names.
std::vector<Reference> ReferencesOf(const Schema& schema, const google::protobuf::Message& object);

}  // namespace posthorn::config
