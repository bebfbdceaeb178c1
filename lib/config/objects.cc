#include "lib/config/objects.h"

#include <google/protobuf/descriptor.h>
#include <re2/re2.h>

#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/units.h"
#include "lib/config/values.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::config {
namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

namespace {

// "modern=5 hmailserver=20" has one text for each profile; anything else is for both.
std::string DefaultText(const v1::FieldRules& rules, Profile profile) {
  const std::string_view text = rules.default_value();
  constexpr std::string_view kModern = "modern=";
  constexpr std::string_view kOld = " hmailserver=";
  const size_t split = text.find(kOld);
  if (!text.starts_with(kModern) || split == std::string_view::npos) return std::string(text);
  return std::string(profile == Profile::kModern
                         ? text.substr(kModern.size(), split - kModern.size())
                         : text.substr(split + kOld.size()));
}

bool HasValue(const pb::Message& object, const Field& field) {
  const pb::Reflection& reflection = *object.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(object, &field) > 0
                             : reflection.HasField(object, &field);
}

std::optional<double> Number(const v1::FieldRules& rules, std::string_view text) {
  if (rules.form() == v1::FieldRules::DURATION) {
    const auto seconds = ParseDuration(text);
    return seconds ? std::optional<double>(static_cast<double>(*seconds)) : std::nullopt;
  }
  if (rules.form() == v1::FieldRules::SIZE) {
    const auto bytes = ParseSize(text);
    return bytes ? std::optional<double>(static_cast<double>(*bytes)) : std::nullopt;
  }
  char* end = nullptr;
  const std::string copy(text);
  const double value = std::strtod(copy.c_str(), &end);
  return end == copy.c_str() ? std::nullopt : std::optional<double>(value);
}

bool IsNumber(const Field& field) {
  return field.cpp_type() != Field::CPPTYPE_STRING && field.cpp_type() != Field::CPPTYPE_BOOL &&
         field.cpp_type() != Field::CPPTYPE_ENUM && field.cpp_type() != Field::CPPTYPE_MESSAGE;
}

// Bounds are of the value for single numbers, of each element for lists of numbers, else of the
// length.
std::string CheckBounds(const Field& field, const std::vector<std::string>& texts) {
  const v1::FieldRules& rules = RulesOf(field);
  const bool numbers = IsNumber(field);
  std::vector<double> measured;
  for (const std::string& text : texts) {
    if (numbers) measured.push_back(Number(rules, text).value_or(0));
    if (!numbers && !field.is_repeated()) measured.push_back(static_cast<double>(text.size()));
  }
  if (!numbers && field.is_repeated()) measured.push_back(static_cast<double>(texts.size()));
  const std::string_view what = numbers ? "" : field.is_repeated() ? " elements" : " octets";
  for (const double value : measured) {
    if (!rules.min().empty() && value < Number(rules, rules.min()).value_or(value)) {
      return base::StrCat("must be at least ", rules.min(), what);
    }
    if (!rules.max().empty() && value > Number(rules, rules.max()).value_or(value)) {
      return base::StrCat("must be at most ", rules.max(), what);
    }
  }
  return {};
}

// "" or what is wrong. Texts that were stored in normal form stay as they are when read again.
std::string CheckField(const pb::Message& object, const Field& field) {
  const v1::FieldRules& rules = RulesOf(field);
  const std::vector<std::string> texts = Texts(object, field);
  const bool empty = texts.empty() || (field.cpp_type() == Field::CPPTYPE_STRING &&
                                       !field.is_repeated() && texts.front().empty());
  const bool zero = !empty && !field.has_presence() && IsNumber(field) && !field.is_repeated() &&
                    texts.front() == "0";
  if (rules.required() && (empty || zero)) return "is required";
  if (empty) return {};
  if (std::string bounds = CheckBounds(field, texts); !bounds.empty()) return bounds;
  if (field.cpp_type() != Field::CPPTYPE_STRING) return {};
  for (const std::string& text : texts) {
    if (!rules.pattern().empty() && !RE2::FullMatch(text, rules.pattern())) {
      return base::StrCat("\"", text, "\" does not match ", rules.pattern());
    }
    std::unique_ptr<pb::Message> probe(object.New());
    const absl::Status status =
        field.is_repeated() ? AddElement(*probe, field, text) : SetText(*probe, field, text);
    if (!status.ok()) return std::string(base::Message(status));
    if (Texts(*probe, field) != std::vector<std::string>{text})
      return base::StrCat("\"", text, "\" is not in normal form");
  }
  return {};
}

std::string ShownText(const pb::Message& object, const Field& field) {
  const v1::FieldRules& rules = RulesOf(field);
  if (rules.secret() || rules.write_only())
    return HasValue(object, field) ? std::string(kMask) : std::string();
  return ToText(object, field);
}

}  // namespace

absl::Status SetDefault(pb::Message& object, const Field& field, Profile profile) {
  const std::string text = DefaultText(RulesOf(field), profile);
  return text.empty() ? absl::OkStatus() : SetText(object, field, text);
}

void ApplyDefaults(pb::Message& object, Profile profile, Age age) {
  const pb::Descriptor& kind = *object.GetDescriptor();
  for (int i = 0; i < kind.field_count(); ++i) {
    const Field& field = *kind.field(i);
    if (HasValue(object, field)) continue;
    if (age == Age::kStored && !field.is_repeated() && !field.has_presence()) continue;
    // Schema::Mistakes, run by a test, finds defaults that do not parse.
    (void)SetDefault(object, field, profile);
  }
}

std::string NameOf(const Kind& kind, const pb::Message& object) {
  return kind.key == nullptr ? std::string(kDefaultName) : ToText(object, *kind.key);
}

absl::Status Validate(const Kind& kind, const pb::Message& object) {
  std::vector<std::string> lines;
  for (int i = 0; i < object.GetDescriptor()->field_count(); ++i) {
    const Field& field = *object.GetDescriptor()->field(i);
    const std::string wrong = CheckField(object, field);
    if (!wrong.empty()) lines.push_back(base::StrCat(kind.word, ".", field.name(), ": ", wrong));
  }
  return lines.empty() ? absl::OkStatus() : base::Invalid(base::Join(lines, "\n"));
}

void MaskSecrets(pb::Message& object) {
  const pb::Reflection& reflection = *object.GetReflection();
  for (int i = 0; i < object.GetDescriptor()->field_count(); ++i) {
    const Field& field = *object.GetDescriptor()->field(i);
    if (RulesOf(field).write_only()) {
      reflection.ClearField(&object, &field);
    } else if (RulesOf(field).secret() && HasValue(object, field) &&
               field.cpp_type() == Field::CPPTYPE_STRING) {
      if (!field.is_repeated()) reflection.SetString(&object, &field, std::string(kMask));
      for (int j = 0; field.is_repeated() && j < reflection.FieldSize(object, &field); ++j) {
        reflection.SetRepeatedString(&object, &field, j, std::string(kMask));
      }
    }
  }
}

void RestoreMasked(pb::Message& object, const pb::Message* stored) {
  const pb::Reflection& reflection = *object.GetReflection();
  for (int i = 0; i < object.GetDescriptor()->field_count(); ++i) {
    const Field& field = *object.GetDescriptor()->field(i);
    if (!RulesOf(field).secret() || field.cpp_type() != Field::CPPTYPE_STRING ||
        !HasValue(object, field))
      continue;
    const std::vector<std::string> texts = Texts(object, field);
    if (texts.front() != kMask) continue;
    reflection.ClearField(&object, &field);
    for (const std::string& text :
         stored == nullptr ? std::vector<std::string>() : Texts(*stored, field)) {
      if (field.is_repeated()) reflection.AddString(&object, &field, text);
      if (!field.is_repeated()) reflection.SetString(&object, &field, text);
    }
  }
}

std::vector<FieldDifference> Compare(const pb::Message* before, const pb::Message* after) {
  std::vector<FieldDifference> out;
  const pb::Message* any = before != nullptr ? before : after;
  if (any == nullptr) return out;
  for (int i = 0; i < any->GetDescriptor()->field_count(); ++i) {
    const Field& field = *any->GetDescriptor()->field(i);
    const std::vector<std::string> none;
    const bool differs =
        (before ? Texts(*before, field) : none) != (after ? Texts(*after, field) : none);
    if (!differs) continue;
    FieldDifference difference{field.name(), before ? ShownText(*before, field) : "",
                               after ? ShownText(*after, field) : ""};
    if (before != nullptr && after != nullptr && difference.before == difference.after &&
        !RulesOf(field).secret())
      continue;
    if ((before == nullptr || after == nullptr) && difference.before == difference.after) continue;
    out.push_back(std::move(difference));
  }
  return out;
}

std::vector<Reference> ReferencesOf(const Schema& schema, const pb::Message& object) {
  std::vector<Reference> out;
  for (int i = 0; i < object.GetDescriptor()->field_count(); ++i) {
    const Field& field = *object.GetDescriptor()->field(i);
    const Kind* kind =
        RulesOf(field).reference().empty() ? nullptr : schema.Find(RulesOf(field).reference());
    if (kind == nullptr) continue;
    for (const std::string& name : Texts(object, field)) {
      if (!name.empty()) out.push_back({field.name(), kind->full_name, name});
    }
  }
  return out;
}

}  // namespace posthorn::config
