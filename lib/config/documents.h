#pragma once

// Objects as YAML (and so JSON) documents in, and YAML and JSON out. Pure.
//   kind: domain
//   name: example.org
//   alias_names: [example.net]
// Several documents are separated by "---"; a document may be a list of objects. Fields that are
// not mentioned keep their value, or have their default in a new object.

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/config/schema.h"

namespace posthorn::config {

struct Document {
  struct Value {
    const google::protobuf::FieldDescriptor* field = nullptr;
    bool list = false;               // written as a list: replaces the field's elements
    std::vector<std::string> texts;  // one when `list` is false
    int line = 0;                    // from 1
    int column = 0;                  // from 1
  };
  const Kind* kind = nullptr;
  std::string name;  // in normal form; "default" for singletons
  std::vector<Value> values;
  int line = 0;
  int column = 0;
};

// kInvalidArgument: every mistake as a line "line:column: what is wrong".
absl::StatusOr<std::vector<Document>> ParseDocuments(const Schema& schema, std::string_view yaml);
// Sets the document's fields in `object`. Errors as above.
absl::Status Fill(const Document& document, google::protobuf::Message& object);

// Both with secrets masked by the caller. YAML begins with "kind:" and leaves out what has no
// value.
std::string ToYaml(const Kind& kind, const google::protobuf::Message& object);
std::string ToJson(const google::protobuf::Message& object);
absl::Status FromJson(std::string_view json, google::protobuf::Message& object);

}  // namespace posthorn::config
