#pragma once

// What the store must know of a configuration kind, read from its descriptor and options: nothing
// here names a kind.

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::store_service {

struct KindSchema {
  std::string name;  // full message name
  // Null for a kind this program has no descriptor of: kept as it is, sealed.
  const google::protobuf::Descriptor* descriptor = nullptr;
  bool directory = false;
  // Holds a field that must be encrypted where it rests (in any depth).
  bool sealed = true;
  const google::protobuf::FieldDescriptor* key = nullptr;
  // String fields that are set and never read back.
  std::vector<const google::protobuf::FieldDescriptor*> write_only;
};

// A value that was taken out of an object: to be hashed.
struct WriteOnlyValue {
  std::string field;
  std::string value;
};
struct Stripped {
  std::string data;  // without key and write_only fields
  std::vector<WriteOnlyValue> values;
};

// Any thread.
class Kinds {
 public:
  // `pool` outlives this.
  explicit Kinds(const google::protobuf::DescriptorPool* pool =
                     google::protobuf::DescriptorPool::generated_pool());
  std::shared_ptr<const KindSchema> Of(std::string_view kind);
  // kInvalidArgument: `data` is no message of this kind.
  absl::StatusOr<Stripped> Strip(const KindSchema& kind, std::string_view data);

 private:
  std::shared_ptr<const KindSchema> Read(std::string_view kind) const;
  const google::protobuf::DescriptorPool* pool_;
  google::protobuf::DynamicMessageFactory factory_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const KindSchema>> known_;
};

// The serialized message with its key field set to `name`: the form callers see.
std::string WithKey(const KindSchema& kind, std::string_view name, std::string_view data);

}  // namespace posthorn::store_service
