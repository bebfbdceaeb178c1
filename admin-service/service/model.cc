#include "admin-service/service/model.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/objects.h"

namespace posthorn::admin_service {

const StoredObject* Model::Find(const config::Kind& kind, const std::string& name) const {
  const auto found = objects_.find({kind.word, name});
  return found == objects_.end() ? nullptr : &found->second;
}

std::shared_ptr<const StoredObject> Decode(const config::Schema& schema,
                                           const store::v1::Object& object) {
  const config::Kind* kind = schema.Find(object.kind());
  if (kind == nullptr) return nullptr;
  std::shared_ptr<google::protobuf::Message> value = schema.New(*kind);
  if (!value->ParseFromString(object.data())) return nullptr;
  config::ApplyDefaults(*value, config::Profile::kModern, config::Age::kStored);
  return std::make_shared<StoredObject>(
      StoredObject{kind, object.name(), object.revision(), std::move(value)});
}

ModelCache::ModelCache(net::Loop& loop, const config::Schema& schema, ObjectStore& store)
    : schema_(schema), store_(store), changed_(loop) {
  auto empty = std::make_shared<Model>();
  AddSingletons(*empty);
  current_ = std::move(empty);
}

void ModelCache::AddSingletons(Model& model) const {
  for (const config::Kind& kind : schema_.kinds()) {
    const std::string name(config::kDefaultName);
    if (!kind.singleton || model.Find(kind, name) != nullptr) continue;
    std::shared_ptr<google::protobuf::Message> value = schema_.New(kind);
    config::ApplyDefaults(*value, config::Profile::kModern, config::Age::kNew);
    model.objects_[{kind.word, name}] = {&kind, name, 0, std::move(value)};
  }
}

net::Task<absl::Status> ModelCache::Refresh() {
  fresh_ = false;
  const uint64_t turn = ++asked_;
  const std::shared_ptr<const Model> before = current_;
  CO_ASSIGN_OR_RETURN(const uint64_t head, co_await store_.Head());
  if (head != current_->revision()) {
    CO_ASSIGN_OR_RETURN(std::shared_ptr<const Model> next, co_await Load());
    // Two refreshes may overlap; the older one must not win. Alone, it is right also when it goes
    // back: a database may lose its newest commits.
    if (next->revision() > current_->revision() || current_ == before) {
      current_ = std::move(next);
      changed_.NotifyAll();
    }
  }
  fresh_ = true;
  answered_ = std::max(answered_, turn);
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<std::shared_ptr<const Model>>> ModelCache::Load() {
  auto model = std::make_shared<Model>();
  for (size_t i = 0; i < schema_.kinds().size(); ++i) {
    const config::Kind& kind = schema_.kinds()[i];
    if (kind.directory) continue;
    CO_ASSIGN_OR_RETURN(const bool same, co_await LoadKind(kind, *model));
    if (same) continue;
    // A change between two pages: begin again, so that the model is of one revision.
    model = std::make_shared<Model>();
    i = static_cast<size_t>(-1);
  }
  AddSingletons(*model);
  co_return model;
}

net::Task<absl::StatusOr<bool>> ModelCache::LoadKind(const config::Kind& kind, Model& model) {
  store::v1::ListObjectsRequest request;
  request.set_kind(kind.full_name);
  for (bool more = true; more;) {
    CO_ASSIGN_OR_RETURN(const store::v1::ListObjectsReply reply, co_await store_.List(request));
    if (model.revision_ != 0 && reply.revision() != model.revision_) co_return false;
    model.revision_ = reply.revision();
    for (const store::v1::Object& object : reply.objects()) {
      if (const auto decoded = Decode(schema_, object))
        model.objects_[{kind.word, decoded->name}] = *decoded;
      request.set_after(object.name());
    }
    more = reply.more() && reply.objects_size() > 0;
  }
  co_return true;
}

}  // namespace posthorn::admin_service
