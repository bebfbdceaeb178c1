#include "lib/config/snapshot.h"

#include <google/protobuf/descriptor.h>

#include "lib/base/strings.h"
#include "lib/config/objects.h"
#include "lib/config/schema.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::config {
namespace pb = google::protobuf;

namespace {

// The object, with defaults for fields that came after it was stored; null when this program does
// not know its kind.
std::shared_ptr<const pb::Message> Decode(const Kind& kind, const std::string& data) {
  std::shared_ptr<pb::Message> object = Schema::Generated().New(kind);
  if (!object->ParseFromString(data)) return nullptr;
  ApplyDefaults(*object, Profile::kModern, Age::kStored);
  return object;
}

std::shared_ptr<const pb::Message> DefaultSingleton(const Kind& kind) {
  std::shared_ptr<pb::Message> object = Schema::Generated().New(kind);
  ApplyDefaults(*object, Profile::kModern, Age::kNew);
  return object;
}

}  // namespace

Snapshot::Snapshot() {
  for (const posthorn::config::Kind& kind : Schema::Generated().kinds()) {
    if (!kind.singleton) continue;
    Kind& mine = kinds_[kind.full_name];
    mine.by_name[std::string(kDefaultName)] = DefaultSingleton(kind);
    mine.all = {mine.by_name.begin()->second};
  }
}

std::shared_ptr<const Snapshot> Snapshot::With(const admin::v1::WatchReply& reply) const {
  auto next = reply.full() ? std::make_shared<Snapshot>() : std::make_shared<Snapshot>(*this);
  next->revision_ = reply.revision();
  for (const admin::v1::WatchedObject& object : reply.objects()) {
    const posthorn::config::Kind* kind = Schema::Generated().Find(object.kind());
    if (kind == nullptr) continue;  // of a newer release
    Kind& mine = next->kinds_[kind->full_name];
    std::shared_ptr<const pb::Message> value;
    if (!object.removed()) value = Decode(*kind, object.data());
    if (value == nullptr && kind->singleton) value = DefaultSingleton(*kind);
    if (value == nullptr) {
      mine.by_name.erase(object.name());
    } else {
      mine.by_name[object.name()] = std::move(value);
    }
  }
  for (auto& [name, kind] : next->kinds_) {
    kind.all.clear();
    for (const auto& [key, object] : kind.by_name) kind.all.push_back(object);
  }
  return next;
}

std::string Snapshot::Serialize() const {
  admin::v1::WatchReply reply;
  reply.set_revision(revision_);
  reply.set_full(true);
  for (const auto& [kind, objects] : kinds_) {
    for (const auto& [name, object] : objects.by_name) {
      admin::v1::WatchedObject* out = reply.add_objects();
      out->set_kind(kind);
      out->set_name(name);
      object->SerializeToString(out->mutable_data());
    }
  }
  return reply.SerializeAsString();
}

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Parse(std::string_view bytes) {
  admin::v1::WatchReply reply;
  if (!reply.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !reply.full()) {
    return base::DataLoss("not a saved configuration");
  }
  return Snapshot().With(reply);
}

const pb::Message& Snapshot::Singleton(std::string_view kind) const {
  return *FindObject(kind, kDefaultName);
}

const std::vector<std::shared_ptr<const pb::Message>>& Snapshot::Objects(
    std::string_view kind) const {
  static const auto* const kNone = new std::vector<std::shared_ptr<const pb::Message>>;
  const auto found = kinds_.find(kind);
  return found == kinds_.end() ? *kNone : found->second.all;
}

const pb::Message* Snapshot::FindObject(std::string_view kind, std::string_view name) const {
  const auto found = kinds_.find(kind);
  if (found == kinds_.end()) return nullptr;
  const auto object = found->second.by_name.find(name);
  return object == found->second.by_name.end() ? nullptr : object->second.get();
}

}  // namespace posthorn::config
