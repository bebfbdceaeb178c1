#include "admin-service/service/workspace.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "admin-service/service/rules.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/objects.h"
#include "lib/config/values.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::admin_service {
namespace {

// Fields of `kind` that name objects of `target`.
bool RefersTo(const config::Kind& kind, const config::Kind& target, const config::Schema& schema) {
  for (int i = 0; i < kind.descriptor->field_count(); ++i) {
    const std::string& word = config::RulesOf(*kind.descriptor->field(i)).reference();
    if (!word.empty() && schema.Find(word) == &target) return true;
  }
  return false;
}

}  // namespace

Workspace::Workspace(const config::Schema& schema, ObjectStore& store,
                     std::shared_ptr<const Model> model)
    : schema_(schema), store_(store), model_(std::move(model)) {}

net::Task<absl::StatusOr<std::shared_ptr<const StoredObject>>> Workspace::Stored(
    const config::Kind& kind, std::string name) {
  if (!kind.directory) {
    const StoredObject* found = model_->Find(kind, name);
    co_return found == nullptr ? nullptr : std::make_shared<StoredObject>(*found);
  }
  const Model::Key key{kind.word, name};
  if (const auto known = read_.find(key); known != read_.end()) co_return known->second;
  store::v1::ListObjectsRequest request;
  request.set_kind(kind.full_name);
  request.set_name(name);
  request.set_limit(1);
  CO_ASSIGN_OR_RETURN(const store::v1::ListObjectsReply reply,
                      co_await store_.List(std::move(request)));
  std::shared_ptr<const StoredObject> object;
  if (reply.objects_size() > 0) object = Decode(schema_, reply.objects(0));
  read_[key] = object;
  co_return object;
}

net::Task<absl::StatusOr<Workspace::MessagePtr>> Workspace::After(const config::Kind& kind,
                                                                  std::string name) {
  if (const auto edit = edits_.find({kind.word, name}); edit != edits_.end())
    co_return edit->second.after;
  for (const auto& [key, edit] : edits_) {
    if (edit.kind == &kind && edit.renamed_from == name) co_return MessagePtr();
  }
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<const StoredObject> stored,
                      co_await Stored(kind, std::move(name)));
  co_return stored == nullptr ? nullptr : stored->value;
}

net::Task<absl::StatusOr<std::vector<std::string>>> Workspace::Names(const config::Kind& kind,
                                                                     std::string suffix) {
  std::vector<std::string> names;
  store::v1::ListObjectsRequest request;
  request.set_kind(kind.full_name);
  request.set_suffix(suffix);
  for (bool more = true; more;) {
    CO_ASSIGN_OR_RETURN(const store::v1::ListObjectsReply reply, co_await store_.List(request));
    for (const store::v1::Object& object : reply.objects()) names.push_back(object.name());
    more = reply.more() && reply.objects_size() > 0;
    if (more) request.set_after(names.back());
  }
  co_return names;
}

std::vector<std::pair<std::string, Workspace::MessagePtr>> Workspace::AllAfter(
    const config::Kind& kind) const {
  std::map<std::string, MessagePtr> all;
  for (const auto& [key, object] : model_->objects()) {
    if (object.kind == &kind) all[object.name] = object.value;
  }
  for (const auto& [key, edit] : edits_) {
    if (edit.kind != &kind) continue;
    if (!edit.renamed_from.empty()) all.erase(edit.renamed_from);
    all[edit.name] = edit.after;
  }
  std::erase_if(all, [](const auto& entry) { return entry.second == nullptr; });
  return {all.begin(), all.end()};
}

void Workspace::Put(const config::Kind& kind, const std::string& name,
                    std::shared_ptr<const StoredObject> before, MessagePtr after) {
  Edit edit{&kind, config::NameOf(kind, *after), std::move(before), std::move(after), ""};
  if (edit.before != nullptr && edit.name != name) edit.renamed_from = name;
  edits_[{kind.word, edit.name}] = std::move(edit);
}

void Workspace::Remove(std::shared_ptr<const StoredObject> before) {
  Edit edit{before->kind, before->name, before, nullptr, ""};
  edits_[{edit.kind->word, edit.name}] = std::move(edit);
}

void Workspace::DropUnchanged() {
  std::erase_if(edits_, [](const auto& entry) {
    const Edit& edit = entry.second;
    return edit.before != nullptr && edit.after != nullptr && edit.renamed_from.empty() &&
           config::Compare(edit.before->value.get(), edit.after.get()).empty();
  });
}

net::Task<absl::Status> Workspace::Check() {
  DropUnchanged();
  std::vector<std::string> wrong;
  for (const auto& [key, edit] : edits_) {
    if (edit.after == nullptr && edit.kind->singleton) {
      wrong.push_back(base::StrCat(edit.kind->word, " always exists and cannot be deleted"));
    }
    if (edit.after != nullptr) {
      const absl::Status valid = config::Validate(*edit.kind, *edit.after);
      if (!valid.ok()) wrong.push_back(base::StrCat(edit.name, ": ", base::Message(valid)));
      CheckUnique(edit, wrong);
      CO_RETURN_IF_ERROR(co_await CheckReferences(edit, wrong));
    }
    const bool gone = edit.after == nullptr || !edit.renamed_from.empty();
    if (gone && edit.before != nullptr)
      CO_RETURN_IF_ERROR(co_await CheckUsers(*edit.kind, edit.before->name, wrong));
    CO_RETURN_IF_ERROR(co_await CheckKindRules(*this, edit, wrong));
  }
  std::sort(wrong.begin(), wrong.end());
  wrong.erase(std::unique(wrong.begin(), wrong.end()), wrong.end());
  if (!wrong.empty()) co_return base::Invalid(base::Join(wrong, "\n"));
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workspace::CheckReferences(const Edit& edit,
                                                   std::vector<std::string>& wrong) {
  for (const config::Reference& reference : config::ReferencesOf(schema_, *edit.after)) {
    const config::Kind& kind = *schema_.Find(reference.kind);
    CO_ASSIGN_OR_RETURN(const MessagePtr target, co_await After(kind, reference.name));
    if (target == nullptr) {
      wrong.push_back(base::StrCat(edit.name, ": ", edit.kind->word, ".", reference.field, ": no ",
                                   kind.word, " \"", reference.name, "\""));
    }
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workspace::CheckUsers(const config::Kind& kind, std::string name,
                                              std::vector<std::string>& wrong) {
  for (const config::Kind& user : schema_.kinds()) {
    if (!RefersTo(user, kind, schema_)) continue;
    std::vector<std::string> names;
    if (user.directory) {
      CO_ASSIGN_OR_RETURN(names, co_await Names(user, ""));
      for (const auto& [key, edit] : edits_) {
        if (edit.kind == &user) names.push_back(edit.name);
      }
    } else {
      for (const auto& [user_name, object] : AllAfter(user)) names.push_back(user_name);
    }
    for (const std::string& user_name : names) {
      CO_ASSIGN_OR_RETURN(const MessagePtr object, co_await After(user, user_name));
      for (const config::Reference& reference :
           object ? config::ReferencesOf(schema_, *object) : std::vector<config::Reference>()) {
        if (reference.kind != kind.full_name || reference.name != name) continue;
        wrong.push_back(base::StrCat(kind.word, " \"", name, "\" is still used by ", user.word,
                                     " \"", user_name, "\""));
      }
    }
  }
  co_return absl::OkStatus();
}

void Workspace::CheckUnique(const Edit& edit, std::vector<std::string>& wrong) const {
  for (int i = 0; i < edit.kind->descriptor->field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *edit.kind->descriptor->field(i);
    const std::string text = config::ToText(*edit.after, field);
    if (!config::RulesOf(field).unique() || text.empty()) continue;
    for (const auto& [name, other] : AllAfter(*edit.kind)) {
      if (name == edit.name || config::ToText(*other, field) != text) continue;
      wrong.push_back(base::StrCat(edit.name, ": ", edit.kind->word, ".", field.name(), ": \"",
                                   text, "\" is taken by \"", name, "\""));
    }
  }
}

admin::v1::ChangeReply Workspace::Describe() const {
  admin::v1::ChangeReply reply;
  for (const auto& [key, edit] : edits_) {
    const auto add = [&](const std::string& field, const std::string& before,
                         const std::string& after) {
      admin::v1::Difference* out = reply.add_differences();
      out->set_kind(edit.kind->word);
      out->set_name(edit.name);
      out->set_field(field);
      out->set_before(before);
      out->set_after(after);
    };
    if (edit.before == nullptr) add("", "", edit.name);
    if (edit.after == nullptr) add("", edit.name, "");
    if (edit.after == nullptr) continue;
    for (const config::FieldDifference& difference :
         config::Compare(edit.before ? edit.before->value.get() : nullptr, edit.after.get())) {
      add(difference.field, difference.before, difference.after);
    }
  }
  reply.mutable_warnings()->Add(warnings_.begin(), warnings_.end());
  return reply;
}

store::v1::CommitRequest Workspace::ToCommit(const std::string& author,
                                             const std::string& reason) const {
  store::v1::CommitRequest request;
  request.set_expected_head(model_->revision());
  request.set_author(author);
  request.set_reason(reason);
  for (const auto& [key, edit] : edits_) {
    store::v1::Change* change = request.add_changes();
    change->set_kind(edit.kind->full_name);
    change->set_name(edit.name);
    change->set_remove(edit.after == nullptr);
    if (edit.after != nullptr) edit.after->SerializeToString(change->mutable_data());
    change->set_expected_revision(edit.before == nullptr ? 0 : edit.before->revision);
    change->set_renamed_from(edit.renamed_from);
  }
  return request;
}

}  // namespace posthorn::admin_service
