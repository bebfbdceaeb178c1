#include "lib/config/documents.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/objects.h"
#include "lib/config/values.h"

namespace posthorn::config {
namespace pb = google::protobuf;

namespace {

constexpr size_t kMaxBytes = 64 << 20;

std::string At(int line, int column, std::string_view what) {
  return base::StrCat(line, ":", column, ": ", what);
}
std::string At(const YAML::Mark& mark, std::string_view what) {
  return At(mark.line + 1, mark.column + 1, what);
}

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      base::StrAppend(out, "\\u00", base::Hex(std::string_view(&c, 1)));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// A field that is itself a message is read by protobuf's own JSON parser.
std::string NodeAsJson(const YAML::Node& node) {
  if (node.IsNull() || !node.IsDefined()) return "null";
  if (node.IsScalar()) {
    const std::string& text = node.Scalar();
    const bool literal = node.Tag() == "?" && (text == "true" || text == "false");
    return literal ? text : JsonString(text);
  }
  std::string out = node.IsMap() ? "{" : "[";
  for (const auto& part : node) {
    if (out.size() > 1) out += ",";
    out += node.IsMap()
               ? base::StrCat(JsonString(part.first.Scalar()), ":", NodeAsJson(part.second))
               : NodeAsJson(part);
  }
  return out + (node.IsMap() ? "}" : "]");
}

std::string TextOfNode(const pb::FieldDescriptor& field, const YAML::Node& node) {
  if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) return NodeAsJson(node);
  return node.IsNull() ? std::string() : node.Scalar();
}

// One reading of one text: gathers mistakes instead of stopping at the first.
class Reader {
 public:
  explicit Reader(const Schema& schema) : schema_(schema) {}

  void Read(const YAML::Node& node) {
    if (!node.IsDefined() || node.IsNull()) return;
    if (node.IsSequence()) {
      for (const YAML::Node& part : node) Read(part);
    } else if (node.IsMap()) {
      ReadObject(node);
    } else {
      Wrong(node.Mark(), "expected an object (kind: …)");
    }
  }

  absl::StatusOr<std::vector<Document>> Result() {
    if (!mistakes_.empty()) return base::Invalid(base::Join(mistakes_, "\n"));
    return std::move(documents_);
  }

 private:
  void Wrong(const YAML::Mark& mark, std::string_view what) { mistakes_.push_back(At(mark, what)); }

  void ReadObject(const YAML::Node& node) {
    const YAML::Node word = node["kind"];
    if (!word || !word.IsScalar()) return Wrong(node.Mark(), "expected \"kind:\" in an object");
    const absl::StatusOr<const Kind*> kind = schema_.Lookup(word.Scalar());
    if (!kind.ok()) return Wrong(word.Mark(), base::Message(kind.status()));
    Document document;
    document.kind = *kind;
    document.line = node.Mark().line + 1;
    document.column = node.Mark().column + 1;
    bool good = true;
    for (const auto& part : node) {
      if (part.first.Scalar() != "kind")
        good = ReadField(document, part.first, part.second) && good;
    }
    if (good) NameIt(document, node);
  }

  bool ReadField(Document& document, const YAML::Node& name, const YAML::Node& value) {
    const bool singleton_name = document.kind->singleton && name.Scalar() == "name";
    // "name" is the key of every kind, whatever the field is called.
    const pb::FieldDescriptor* named =
        name.Scalar() == "name" && document.kind->descriptor->FindFieldByName("name") == nullptr
            ? document.kind->key
            : nullptr;
    if (singleton_name && named == nullptr &&
        document.kind->descriptor->FindFieldByName("name") == nullptr)
      return true;
    const auto field = named != nullptr ? absl::StatusOr<const pb::FieldDescriptor*>(named)
                                        : FieldOf(*document.kind, name.Scalar());
    if (!field.ok()) {
      Wrong(name.Mark(), base::Message(field.status()));
      return false;
    }
    Document::Value out;
    out.field = *field;
    out.line = value.Mark().line + 1;
    out.column = value.Mark().column + 1;
    const bool message = (*field)->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    out.list = value.IsSequence();
    if (out.list && !(*field)->is_repeated()) {
      Wrong(value.Mark(), base::StrCat(name.Scalar(), " holds one value, not a list"));
      return false;
    }
    if (value.IsMap() && !message) {
      Wrong(value.Mark(), base::StrCat(name.Scalar(), " holds a plain value"));
      return false;
    }
    if (out.list) {
      for (const YAML::Node& element : value) out.texts.push_back(TextOfNode(**field, element));
    } else {
      out.texts.push_back(TextOfNode(**field, value));
    }
    document.values.push_back(std::move(out));
    return true;
  }

  void NameIt(Document& document, const YAML::Node& node) {
    const std::unique_ptr<pb::Message> probe = schema_.New(*document.kind);
    const absl::Status status = Fill(document, *probe);
    if (!status.ok()) {
      mistakes_.emplace_back(base::Message(status));
      return;
    }
    document.name = NameOf(*document.kind, *probe);
    if (document.name.empty()) {
      return Wrong(node.Mark(), base::StrCat("expected \"", document.kind->key->name(),
                                             ":\", the name of the ", document.kind->word));
    }
    documents_.push_back(std::move(document));
  }

  const Schema& schema_;
  std::vector<std::string> mistakes_;
  std::vector<Document> documents_;
};

void EmitText(YAML::Emitter& out, const pb::FieldDescriptor& field, const std::string& text) {
  if (text.find('\n') != std::string::npos) {
    out << YAML::Literal << text;
  } else if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
    out << YAML::DoubleQuoted << text;
  } else {
    out << text;
  }
}

bool Shown(const pb::FieldDescriptor& field, const std::vector<std::string>& texts) {
  if (texts.empty()) return false;
  if (field.is_repeated() || field.has_presence()) return true;
  return texts.front() != "" && texts.front() != "0" && texts.front() != "0s" &&
         texts.front() != "false";
}

}  // namespace

absl::StatusOr<std::vector<Document>> ParseDocuments(const Schema& schema, std::string_view yaml) {
  if (yaml.size() > kMaxBytes) return base::Invalid("1:1: more than 64 MiB");
  Reader reader(schema);
  // yaml-cpp reports by exception; none leaves this function.
  try {
    for (const YAML::Node& node : YAML::LoadAll(std::string(yaml))) reader.Read(node);
  } catch (const YAML::Exception& e) {
    return base::Invalid(At(e.mark, e.msg));
  }
  return reader.Result();
}

absl::Status Fill(const Document& document, pb::Message& object) {
  std::vector<std::string> mistakes;
  for (const Document::Value& value : document.values) {
    const pb::FieldDescriptor* field =
        object.GetDescriptor()->FindFieldByNumber(value.field->number());
    absl::Status status;
    if (!value.list) {
      status = SetText(object, *field, value.texts.front());
    } else {
      object.GetReflection()->ClearField(&object, field);
      for (const std::string& text : value.texts) {
        if (status.ok()) status = AddElement(object, *field, text);
      }
    }
    if (!status.ok()) {
      mistakes.push_back(
          At(value.line, value.column, base::StrCat(field->name(), ": ", base::Message(status))));
    }
  }
  return mistakes.empty() ? absl::OkStatus() : base::Invalid(base::Join(mistakes, "\n"));
}

std::string ToYaml(const Kind& kind, const pb::Message& object) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "kind" << YAML::Value << kind.word;
  for (int i = 0; i < object.GetDescriptor()->field_count(); ++i) {
    const pb::FieldDescriptor& field = *object.GetDescriptor()->field(i);
    const std::vector<std::string> texts = Texts(object, field);
    if (!Shown(field, texts)) continue;
    out << YAML::Key << field.name() << YAML::Value;
    if (field.is_repeated()) out << YAML::BeginSeq;
    for (const std::string& text : texts) EmitText(out, field, text);
    if (field.is_repeated()) out << YAML::EndSeq;
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string ToJson(const pb::Message& object) {
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  (void)pb::util::MessageToJsonString(object, &json, options);
  return json;
}

absl::Status FromJson(std::string_view json, pb::Message& object) {
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = pb::util::JsonStringToMessage(std::string(json), &object, options);
  return status.ok() ? absl::OkStatus() : base::Invalid(std::string(status.message()));
}

}  // namespace posthorn::config
