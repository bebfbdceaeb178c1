#pragma once

// Text form of field values, as people write it on a command line or in YAML, and back. Pure.
//   numbers        1000                       booleans   true false yes no on off
//   durations      30s 5m 4h 7d 2w, 1h30m     sizes      1024 64 KiB 25 MiB 2 GB
//   enums          by name, any case          lists      elements separated by commas

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace posthorn::config {

// Replaces the field's value; a list by the elements in `text`. Text of forms (DOMAIN …) is
// normalised. An empty text clears lists and strings. kInvalidArgument says what was expected,
// without the field's name.
absl::Status SetText(google::protobuf::Message& object,
                     const google::protobuf::FieldDescriptor& field, std::string_view text);
// One element more (nothing happens when it is there), or without it (kNotFound when it is not
// there).
absl::Status AddElement(google::protobuf::Message& object,
                        const google::protobuf::FieldDescriptor& field, std::string_view text);
absl::Status RemoveElement(google::protobuf::Message& object,
                           const google::protobuf::FieldDescriptor& field, std::string_view text);
// The elements of a list, or the one value; a field without a value has none.
std::vector<std::string> Texts(const google::protobuf::Message& object,
                               const google::protobuf::FieldDescriptor& field);
// Texts joined by ", ".
std::string ToText(const google::protobuf::Message& object,
                   const google::protobuf::FieldDescriptor& field);
// "assignment" on the command line: field=value, field+=value, field-=value.
struct Assignment {
  enum class Operation { kSet, kAdd, kRemove };
  std::string field;
  Operation operation = Operation::kSet;
  std::string value;
};
std::optional<Assignment> ParseAssignment(std::string_view text);

}  // namespace posthorn::config
