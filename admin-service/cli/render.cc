#include "admin-service/cli/render.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <ctime>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/documents.h"
#include "lib/config/objects.h"
#include "lib/config/units.h"
#include "lib/config/values.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::cli {
namespace {

namespace pb = google::protobuf;
constexpr size_t kWidestCell = 40;
constexpr size_t kMostColumns = 8;

size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Cell(const pb::Message& object, const pb::FieldDescriptor& field) {
  std::string text = config::ToText(object, field);
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  if (Width(text) <= kWidestCell) return text;
  size_t end = kWidestCell - 1;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

bool Tabular(const pb::FieldDescriptor& field) {
  const auto& rules = config::RulesOf(field);
  return !rules.secret() && !rules.write_only() && !rules.key() &&
         rules.form() != config::v1::FieldRules::PEM;
}

std::string TypeText(const pb::FieldDescriptor& field) {
  using Rules = config::v1::FieldRules;
  std::string type;
  switch (config::RulesOf(field).form()) {
    case Rules::DOMAIN:
      type = "domain";
      break;
    case Rules::ADDRESS:
      type = "address";
      break;
    case Rules::DURATION:
      type = "duration (30s, 5m, 4h, 7d)";
      break;
    case Rules::SIZE:
      type = "size (64 KiB, 25 MiB, 2 GiB)";
      break;
    case Rules::NETWORK:
      type = "network (192.0.2.0/24)";
      break;
    case Rules::PEM:
      type = "PEM text";
      break;
    case Rules::HOST_PORT:
      type = "host or host:port";
      break;
    default:
      break;
  }
  if (type.empty() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_BOOL) type = "true or false";
  if (type.empty() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) type = "text";
  if (type.empty() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM) type = "one of";
  if (type.empty() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) type = "object";
  if (type.empty()) type = "number";
  return field.is_repeated() ? "list of " + type : type;
}

std::string ExplainField(const config::Kind& kind, const pb::FieldDescriptor& field) {
  const config::v1::FieldRules& rules = config::RulesOf(field);
  std::string out = base::StrCat(kind.word, ".", field.name(), "\n  ", rules.help(), "\n");
  const auto line = [&out](std::string_view what, std::string_view value) {
    if (!value.empty()) base::StrAppend(out, "  ", what, value, "\n");
  };
  line("type:      ", TypeText(field));
  if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM) {
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const pb::EnumValueDescriptor& value = *field.enum_type()->value(i);
      if (value.number() == 0) continue;
      line("           ",
           base::StrCat(value.name(), "  ", value.options().GetExtension(config::v1::value_help)));
    }
  }
  line("default:   ", rules.default_value());
  line("at least:  ", rules.min());
  line("at most:   ", rules.max());
  line("pattern:   ", rules.pattern());
  line("refers to: ", rules.reference());
  line("since:     ", rules.since());
  if (rules.key()) line("", "names the object");
  if (rules.required() && !rules.key()) line("", "required");
  if (rules.unique()) line("", "unique among its kind");
  if (rules.write_only()) line("", "can be set, is never shown");
  if (rules.secret() && !rules.write_only()) line("", "secret: shown as ********");
  return out;
}

std::string ExplainKind(const config::Kind& kind) {
  std::string out = base::StrCat(kind.word, kind.singleton ? " (one object, always there)" : "",
                                 "\n  ", kind.help, "\n");
  if (!kind.audience.empty())
    base::StrAppend(out, "  for: ", base::Join(kind.audience, ", "), "\n");
  std::vector<std::vector<std::string>> rows;
  for (int i = 0; i < kind.descriptor->field_count(); ++i) {
    const pb::FieldDescriptor& field = *kind.descriptor->field(i);
    const config::v1::FieldRules& rules = config::RulesOf(field);
    rows.push_back({base::StrCat(field.name(), rules.required() ? " *" : ""), rules.default_value(),
                    rules.help()});
  }
  return out + "\n" + Table({"FIELD (* required)", "DEFAULT", "MEANING"}, rows);
}

}  // namespace

std::string Table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& cell : header) widths.push_back(Width(cell));
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string out;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - Width(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  };
  add(header);
  for (const auto& row : rows) add(row);
  return out;
}

absl::StatusOr<Shown> Read(const config::Schema& schema, const admin::v1::ConfigObject& object) {
  ASSIGN_OR_RETURN(const config::Kind* kind, schema.Lookup(object.kind()));
  Shown shown{kind, object.name(), object.json(), schema.New(*kind)};
  RETURN_IF_ERROR(config::FromJson(object.json(), *shown.object));
  return shown;
}

std::string ObjectTable(const std::vector<Shown>& objects) {
  if (objects.empty()) return "none\n";
  const config::Kind& kind = *objects.front().kind;
  std::vector<const pb::FieldDescriptor*> fields;
  for (int i = 0; i < kind.descriptor->field_count() && fields.size() + 1 < kMostColumns; ++i) {
    const pb::FieldDescriptor& field = *kind.descriptor->field(i);
    const bool any = std::any_of(objects.begin(), objects.end(), [&](const Shown& o) {
      const std::string text = config::ToText(*o.object, field);
      return !text.empty() && text != "0" && text != "0s";
    });
    if (Tabular(field) && any) fields.push_back(&field);
  }
  std::vector<std::string> header = {"NAME"};
  for (const auto* field : fields) header.push_back(base::Upper(field->name()));
  std::vector<std::vector<std::string>> rows;
  for (const Shown& object : objects) {
    std::vector<std::string> row = {object.name};
    for (const auto* field : fields) row.push_back(Cell(*object.object, *field));
    rows.push_back(std::move(row));
  }
  return Table(header, rows);
}

std::string ObjectDetails(const Shown& object) {
  std::vector<std::vector<std::string>> rows;
  for (int i = 0; i < object.kind->descriptor->field_count(); ++i) {
    const pb::FieldDescriptor& field = *object.kind->descriptor->field(i);
    if (!config::RulesOf(field).write_only())
      rows.push_back({field.name(), config::ToText(*object.object, field)});
  }
  return Table({base::Upper(object.kind->word), object.name}, rows);
}

std::string ObjectsAsYaml(const std::vector<Shown>& objects) {
  std::string out;
  for (const Shown& object : objects)
    base::StrAppend(out, "---\n", config::ToYaml(*object.kind, *object.object));
  return out;
}

std::string ObjectsAsJson(const std::vector<Shown>& objects) {
  std::string out = "[";
  for (const Shown& object : objects) {
    // The object's own JSON with its kind in front.
    const bool empty = object.json == "{}";
    base::StrAppend(out, out.size() > 1 ? ",\n " : "\n ", "{\"kind\":\"", object.kind->word, "\"",
                    empty ? "" : ",", std::string_view(object.json).substr(1));
  }
  return out + "\n]\n";
}

std::string Differences(const admin::v1::ChangeReply& reply) {
  std::string out;
  for (const admin::v1::Difference& difference : reply.differences()) {
    if (difference.field().empty()) {
      base::StrAppend(out, difference.after().empty() ? "- " : "+ ", difference.kind(), " ",
                      difference.name(), "\n");
      continue;
    }
    const auto shown = [](const std::string& text) {
      return text.empty() ? std::string("(nothing)") : text;
    };
    base::StrAppend(out, "  ", difference.kind(), " ", difference.name(), ": ", difference.field(),
                    " ", shown(difference.before()), " -> ", shown(difference.after()), "\n");
  }
  for (const std::string& warning : reply.warnings())
    base::StrAppend(out, "warning: ", warning, "\n");
  return out;
}

absl::StatusOr<std::string> Explain(const config::Schema& schema, std::string_view what) {
  const size_t dot = what.find('.');
  ASSIGN_OR_RETURN(const config::Kind* kind, schema.Lookup(what.substr(0, dot)));
  if (dot == std::string_view::npos) return ExplainKind(*kind);
  ASSIGN_OR_RETURN(const pb::FieldDescriptor* field, config::FieldOf(*kind, what.substr(dot + 1)));
  return ExplainField(*kind, *field);
}

std::string Json(const pb::Message& message) { return config::ToJson(message) + "\n"; }

std::string TimeText(int64_t millis) {
  const time_t seconds = millis / 1000;
  tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

std::string AgeText(uint64_t seconds) {
  if (seconds < 120) return base::StrCat(seconds, " s");
  if (seconds < 7200) return base::StrCat(seconds / 60, " min");
  if (seconds < 172800) return base::StrCat(seconds / 3600, " h");
  return base::StrCat(seconds / 86400, " days");
}

}  // namespace posthorn::cli
