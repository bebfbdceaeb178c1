#pragma once

// The kinds of configuration objects, read from descriptors alone: any message with the option
// `kind` is one, wherever it was linked in. Immutable after it was made; any thread.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace google::protobuf {
class DescriptorPool;
class DynamicMessageFactory;
}  // namespace google::protobuf
namespace posthorn::config::v1 {
class FieldRules;
}

namespace posthorn::config {

struct Kind {
  const google::protobuf::Descriptor* descriptor = nullptr;
  std::string full_name;  // "posthorn.config.v1.Domain": what is stored
  std::string word;       // "domain": what people type
  std::string help;
  bool singleton = false;
  bool directory = false;
  std::vector<std::string> audience;
  // Holds the object's name; null for singletons.
  const google::protobuf::FieldDescriptor* key = nullptr;
};

// The name of every singleton's one object.
inline constexpr std::string_view kDefaultName = "default";

// The rules of a field; empty ones when it declares none.
const v1::FieldRules& RulesOf(const google::protobuf::FieldDescriptor& field);

class Schema {
 public:
  // Every kind linked into this program.
  static const Schema& Generated();
  // What `FileSet` of another program described; kInvalidArgument when it does not build.
  static absl::StatusOr<std::unique_ptr<Schema>> FromFileSet(std::string_view bytes);
  ~Schema();
  Schema(const Schema&) = delete;

  // Ordered by word.
  const std::vector<Kind>& kinds() const { return kinds_; }
  // By word or full name; null when there is none.
  const Kind* Find(std::string_view name) const;
  // As Find, but kNotFound names the nearest word.
  absl::StatusOr<const Kind*> Lookup(std::string_view name) const;
  // An empty object, no defaults.
  std::unique_ptr<google::protobuf::Message> New(const Kind& kind) const;
  // A serialized FileDescriptorSet: the files of all kinds and what they import.
  std::string FileSet() const;
  // Mistakes of whoever wrote the .proto: no key, a default that does not parse, an unknown
  // reference … Each as a line; empty when all is well.
  std::vector<std::string> Mistakes() const;

 private:
  Schema();
  void Add(const google::protobuf::Descriptor& message);
  void Sort();

  // Only for FromFileSet; the generated ones live for ever.
  std::unique_ptr<google::protobuf::DescriptorPool> pool_;
  std::unique_ptr<google::protobuf::DynamicMessageFactory> factory_;
  std::vector<Kind> kinds_;
};

// The field called `name`; kInvalidArgument with the nearest known name.
absl::StatusOr<const google::protobuf::FieldDescriptor*> FieldOf(const Kind& kind,
                                                                 std::string_view name);
// The candidate nearest to `word`, or "" when none is near enough to be a typing mistake.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace posthorn::config
