#include "lib/config/values.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/forms.h"
#include "lib/config/schema.h"
#include "lib/config/units.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::config {
namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

namespace {

absl::StatusOr<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"true", "yes", "on", "1"}) {
    if (base::EqualsIgnoreCase(text, yes)) return true;
  }
  for (const std::string_view no : {"false", "no", "off", "0"}) {
    if (base::EqualsIgnoreCase(text, no)) return false;
  }
  return base::Invalid(base::StrCat("expected true or false, not \"", text, "\""));
}

absl::StatusOr<double> ParseDouble(std::string_view text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || !std::isfinite(value)) {
    return base::Invalid(base::StrCat("expected a number, not \"", text, "\""));
  }
  return value;
}

template <class T>
absl::StatusOr<T> ParseNumber(std::string_view text) {
  if (const std::optional<T> value = base::ParseInt<T>(text)) return *value;
  return base::Invalid(base::StrCat("expected a whole number of ", std::numeric_limits<T>::min(),
                                    " to ", std::numeric_limits<T>::max(), ", not \"", text, "\""));
}

absl::StatusOr<uint64_t> ParseUnsigned(const Field& field, std::string_view text) {
  std::optional<uint64_t> value;
  switch (RulesOf(field).form()) {
    case v1::FieldRules::DURATION:
      value = ParseDuration(text);
      if (!value)
        return base::Invalid(
            base::StrCat("expected a duration (30s, 5m, 4h, 7d), not \"", text, "\""));
      return *value;
    case v1::FieldRules::SIZE:
      value = ParseSize(text);
      if (!value)
        return base::Invalid(
            base::StrCat("expected a size (64 KiB, 25 MiB, 2 GiB), not \"", text, "\""));
      return *value;
    default:
      return ParseNumber<uint64_t>(text);
  }
}

absl::StatusOr<int> ParseEnum(const Field& field, std::string_view text) {
  std::vector<std::string> names;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    const pb::EnumValueDescriptor* value = field.enum_type()->value(i);
    if (value->number() == 0) continue;  // "unspecified" is the absence of a value
    if (base::EqualsIgnoreCase(value->name(), text)) return value->number();
    names.push_back(value->name());
  }
  const std::string nearest = Nearest(text, names);
  return base::Invalid(
      base::StrCat("expected one of ", base::Join(names, ", "), ", not \"", text, "\"",
                   nearest.empty() ? "" : base::StrCat("; did you mean ", nearest, "?")));
}

absl::StatusOr<std::string> ParseString(const Field& field, std::string_view text) {
  if (text.empty()) return std::string();
  switch (RulesOf(field).form()) {
    case v1::FieldRules::DOMAIN:
      return NormalDomain(text);
    case v1::FieldRules::ADDRESS:
      return NormalAddress(text);
    case v1::FieldRules::NETWORK:
      return NormalNetwork(text);
    case v1::FieldRules::PEM:
      // The mask stands for the secret that is stored already.
      return text == "********" ? std::string(text) : NormalPem(text);
    case v1::FieldRules::HOST_PORT:
      return NormalHostPort(text);
    default:
      return std::string(text);
  }
}

// Sets or, for lists, appends one value.
#define PH_STORE(Type, value)                       \
  do {                                              \
    if (field.is_repeated()) {                      \
      reflection.Add##Type(&object, &field, value); \
    } else {                                        \
      reflection.Set##Type(&object, &field, value); \
    }                                               \
    return absl::OkStatus();                        \
  } while (false)

absl::Status StoreNumber(pb::Message& object, const Field& field, std::string_view text) {
  const pb::Reflection& reflection = *object.GetReflection();
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(const int32_t value, ParseNumber<int32_t>(text));
      PH_STORE(Int32, value);
    }
    case Field::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(const int64_t value, ParseNumber<int64_t>(text));
      PH_STORE(Int64, value);
    }
    case Field::CPPTYPE_UINT32: {
      ASSIGN_OR_RETURN(const uint64_t value, ParseUnsigned(field, text));
      if (value > std::numeric_limits<uint32_t>::max()) return base::Invalid("number is too large");
      PH_STORE(UInt32, static_cast<uint32_t>(value));
    }
    case Field::CPPTYPE_UINT64: {
      ASSIGN_OR_RETURN(const uint64_t value, ParseUnsigned(field, text));
      PH_STORE(UInt64, value);
    }
    case Field::CPPTYPE_DOUBLE: {
      ASSIGN_OR_RETURN(const double value, ParseDouble(text));
      PH_STORE(Double, value);
    }
    default: {
      ASSIGN_OR_RETURN(const double value, ParseDouble(text));
      PH_STORE(Float, static_cast<float>(value));
    }
  }
}

absl::Status StoreOne(pb::Message& object, const Field& field, std::string_view raw) {
  const pb::Reflection& reflection = *object.GetReflection();
  const std::string_view text = field.cpp_type() == Field::CPPTYPE_STRING ? raw : base::Trim(raw);
  switch (field.cpp_type()) {
    case Field::CPPTYPE_BOOL: {
      ASSIGN_OR_RETURN(const bool value, ParseBool(text));
      PH_STORE(Bool, value);
    }
    case Field::CPPTYPE_ENUM: {
      ASSIGN_OR_RETURN(const int value, ParseEnum(field, text));
      PH_STORE(EnumValue, value);
    }
    case Field::CPPTYPE_STRING: {
      ASSIGN_OR_RETURN(const std::string value, ParseString(field, text));
      PH_STORE(String, value);
    }
    case Field::CPPTYPE_MESSAGE: {
      pb::Message* part = field.is_repeated() ? reflection.AddMessage(&object, &field)
                                              : reflection.MutableMessage(&object, &field);
      const auto status = pb::util::JsonStringToMessage(std::string(text), part);
      return status.ok() ? absl::OkStatus()
                         : base::Invalid("expected JSON: " + std::string(status.message()));
    }
    default:
      return StoreNumber(object, field, text);
  }
}
#undef PH_STORE

// The elements of a list in text form. Only free text may hold blanks.
std::vector<std::string_view> Elements(const Field& field, std::string_view text) {
  std::vector<std::string_view> out;
  if (field.cpp_type() == Field::CPPTYPE_MESSAGE || RulesOf(field).form() == v1::FieldRules::PEM) {
    if (!text.empty()) out.push_back(text);
    return out;
  }
  const bool blanks_separate =
      field.cpp_type() != Field::CPPTYPE_STRING || RulesOf(field).form() != v1::FieldRules::PLAIN;
  for (const std::string_view piece : base::Split(text, ',')) {
    if (!blanks_separate) {
      if (!base::Trim(piece).empty()) out.push_back(base::Trim(piece));
      continue;
    }
    for (const std::string_view word : base::Split(piece, ' ')) {
      if (!base::Trim(word).empty()) out.push_back(base::Trim(word));
    }
  }
  return out;
}

std::string NumberText(const Field& field, uint64_t value) {
  switch (RulesOf(field).form()) {
    case v1::FieldRules::DURATION:
      return DurationText(value);
    case v1::FieldRules::SIZE:
      return SizeText(value);
    default:
      return std::to_string(value);
  }
}

std::string DoubleText(double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value);
  return {digits, end.ptr};
}

std::string MessageText(const pb::Message& message) {
  std::string json;
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  (void)pb::util::MessageToJsonString(message, &json, options);
  return json;
}

#define PH_LOAD(Type)                                                        \
  (field.is_repeated() ? reflection.GetRepeated##Type(object, &field, index) \
                       : reflection.Get##Type(object, &field))

// Element `index` of a list, or the one value.
std::string TextOf(const pb::Message& object, const Field& field, int index) {
  const pb::Reflection& reflection = *object.GetReflection();
  switch (field.cpp_type()) {
    case Field::CPPTYPE_INT32:
      return std::to_string(PH_LOAD(Int32));
    case Field::CPPTYPE_INT64:
      return std::to_string(PH_LOAD(Int64));
    case Field::CPPTYPE_UINT32:
      return NumberText(field, PH_LOAD(UInt32));
    case Field::CPPTYPE_UINT64:
      return NumberText(field, PH_LOAD(UInt64));
    case Field::CPPTYPE_DOUBLE:
      return DoubleText(PH_LOAD(Double));
    case Field::CPPTYPE_FLOAT:
      return DoubleText(static_cast<double>(PH_LOAD(Float)));
    case Field::CPPTYPE_BOOL:
      return PH_LOAD(Bool) ? "true" : "false";
    case Field::CPPTYPE_ENUM: {
      const int number = PH_LOAD(EnumValue);
      const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
      return value == nullptr ? std::to_string(number) : value->name();
    }
    case Field::CPPTYPE_STRING:
      return PH_LOAD(String);
    case Field::CPPTYPE_MESSAGE:
      return MessageText(PH_LOAD(Message));
  }
  return {};
}
#undef PH_LOAD

}  // namespace

absl::Status SetText(pb::Message& object, const Field& field, std::string_view text) {
  const pb::Reflection& reflection = *object.GetReflection();
  if (!field.is_repeated()) {
    if (field.cpp_type() == Field::CPPTYPE_MESSAGE) reflection.ClearField(&object, &field);
    return StoreOne(object, field, text);
  }
  reflection.ClearField(&object, &field);
  for (const std::string_view element : Elements(field, text))
    RETURN_IF_ERROR(AddElement(object, field, element));
  return absl::OkStatus();
}

absl::Status AddElement(pb::Message& object, const Field& field, std::string_view text) {
  if (!field.is_repeated()) return base::Invalid("holds one value, not a list: use =");
  const std::vector<std::string> before = Texts(object, field);
  RETURN_IF_ERROR(StoreOne(object, field, text));
  const std::string added = TextOf(object, field, static_cast<int>(before.size()));
  // A list of names is a set; repeated numbers (a retry schedule) mean something.
  const bool set =
      field.cpp_type() == Field::CPPTYPE_STRING || field.cpp_type() == Field::CPPTYPE_ENUM;
  if (set && std::find(before.begin(), before.end(), added) != before.end()) {
    object.GetReflection()->RemoveLast(&object, &field);
  }
  return absl::OkStatus();
}

absl::Status RemoveElement(pb::Message& object, const Field& field, std::string_view text) {
  if (!field.is_repeated()) return base::Invalid("holds one value, not a list: use =");
  // Through the parser, so that another spelling of the element is found too.
  std::unique_ptr<pb::Message> probe(object.New());
  RETURN_IF_ERROR(StoreOne(*probe, field, text));
  const std::string wanted = TextOf(*probe, field, 0);
  const pb::Reflection& reflection = *object.GetReflection();
  const int size = reflection.FieldSize(object, &field);
  for (int i = 0; i < size; ++i) {
    if (TextOf(object, field, i) != wanted) continue;
    for (int j = i; j + 1 < size; ++j) reflection.SwapElements(&object, &field, j, j + 1);
    reflection.RemoveLast(&object, &field);
    return absl::OkStatus();
  }
  return base::NotFound(base::StrCat("does not hold \"", wanted, "\""));
}

std::vector<std::string> Texts(const pb::Message& object, const Field& field) {
  std::vector<std::string> out;
  const pb::Reflection& reflection = *object.GetReflection();
  if (field.is_repeated()) {
    for (int i = 0; i < reflection.FieldSize(object, &field); ++i)
      out.push_back(TextOf(object, field, i));
    return out;
  }
  if (field.has_presence() && !reflection.HasField(object, &field)) return out;
  if (field.cpp_type() == Field::CPPTYPE_ENUM && reflection.GetEnumValue(object, &field) == 0)
    return out;
  out.push_back(TextOf(object, field, 0));
  return out;
}

std::string ToText(const pb::Message& object, const Field& field) {
  return base::Join(Texts(object, field), ", ");
}

std::optional<Assignment> ParseAssignment(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return {};
  Assignment out;
  std::string_view name = text.substr(0, equals);
  if (name.back() == '+' || name.back() == '-') {
    out.operation =
        name.back() == '+' ? Assignment::Operation::kAdd : Assignment::Operation::kRemove;
    name.remove_suffix(1);
  }
  out.field = std::string(base::Trim(name));
  out.value = std::string(text.substr(equals + 1));
  if (out.field.empty()) return {};
  return out;
}

}  // namespace posthorn::config
