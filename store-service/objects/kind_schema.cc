#include "store-service/objects/kind_schema.h"

#include <google/protobuf/message.h>

#include <set>

#include "lib/base/strings.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::store_service {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
namespace config = posthorn::config::v1;

// Through the wire, so that descriptors of another pool (built at run time) yield their options
// too.
config::FieldRules RulesOf(const FieldDescriptor& field) {
  google::protobuf::FieldOptions options;
  options.ParseFromString(field.options().SerializeAsString());
  return options.GetExtension(config::field);
}

bool IsSecret(const FieldDescriptor& field, const config::FieldRules& rules) {
  if (rules.write_only())
    return field.type() != FieldDescriptor::TYPE_STRING || field.is_repeated();
  return rules.secret();
}

bool HasSecret(const Descriptor& message, std::set<const Descriptor*>& seen) {
  if (!seen.insert(&message).second) return false;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (IsSecret(field, RulesOf(field))) return true;
    if (field.message_type() != nullptr && HasSecret(*field.message_type(), seen)) return true;
  }
  return false;
}

}  // namespace

Kinds::Kinds(const google::protobuf::DescriptorPool* pool) : pool_(pool), factory_(pool) {
  factory_.SetDelegateToGeneratedFactory(true);
}

std::shared_ptr<const KindSchema> Kinds::Of(std::string_view kind) {
  const std::lock_guard lock(mutex_);
  for (const auto& known : known_) {
    if (known->name == kind) return known;
  }
  auto schema = Read(kind);
  // Unknown names are not remembered: they come from outside and would grow without bound.
  if (schema->descriptor != nullptr) known_.push_back(schema);
  return schema;
}

std::shared_ptr<const KindSchema> Kinds::Read(std::string_view kind) const {
  auto schema = std::make_shared<KindSchema>();
  schema->name = std::string(kind);
  schema->descriptor = pool_->FindMessageTypeByName(schema->name);
  if (schema->descriptor == nullptr) return schema;
  google::protobuf::MessageOptions options;
  options.ParseFromString(schema->descriptor->options().SerializeAsString());
  schema->directory = options.GetExtension(config::kind).directory();
  std::set<const Descriptor*> seen;
  schema->sealed = HasSecret(*schema->descriptor, seen);
  for (int i = 0; i < schema->descriptor->field_count(); ++i) {
    const FieldDescriptor* field = schema->descriptor->field(i);
    const config::FieldRules rules = RulesOf(*field);
    const bool text = field->type() == FieldDescriptor::TYPE_STRING && !field->is_repeated();
    if (rules.key() && text) schema->key = field;
    if (rules.write_only() && text) schema->write_only.push_back(field);
  }
  return schema;
}

absl::StatusOr<Stripped> Kinds::Strip(const KindSchema& kind, std::string_view data) {
  Stripped out;
  if (kind.descriptor == nullptr) {
    out.data = std::string(data);
    return out;
  }
  std::unique_ptr<google::protobuf::Message> message(factory_.GetPrototype(kind.descriptor)->New());
  if (!message->ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return base::Invalid(base::StrCat("not a ", kind.name));
  }
  const google::protobuf::Reflection& reflection = *message->GetReflection();
  for (const FieldDescriptor* field : kind.write_only) {
    std::string value = reflection.GetString(*message, field);
    reflection.ClearField(message.get(), field);
    if (!value.empty()) out.values.push_back({field->name(), std::move(value)});
  }
  if (kind.key != nullptr) reflection.ClearField(message.get(), kind.key);
  out.data = message->SerializeAsString();
  return out;
}

std::string WithKey(const KindSchema& kind, std::string_view name, std::string_view data) {
  if (kind.key == nullptr) return std::string(data);
  // [protobuf encoding] a field may stand anywhere in a message: tag, length, bytes.
  std::string out;
  const auto varint = [&out](uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
  };
  varint(static_cast<uint64_t>(kind.key->number()) << 3 | 2);
  varint(name.size());
  out.append(name);
  out.append(data);
  return out;
}

}  // namespace posthorn::store_service
