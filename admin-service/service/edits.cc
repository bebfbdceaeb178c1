#include "admin-service/service/edits.h"

#include <google/protobuf/descriptor.h>

#include <set>

#include "admin-service/service/revisions.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/documents.h"
#include "lib/config/objects.h"
#include "lib/config/values.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::admin_service {
namespace {

namespace pb = google::protobuf;
using StoredPtr = std::shared_ptr<const StoredObject>;

// A copy of what is stored, or a new object with its defaults and name.
std::shared_ptr<pb::Message> Draft(const config::Schema& schema, const config::Kind& kind,
                                   const StoredPtr& before, const std::string& name) {
  std::shared_ptr<pb::Message> draft = schema.New(kind);
  if (before != nullptr) {
    draft->CopyFrom(*before->value);
    return draft;
  }
  config::ApplyDefaults(*draft, config::Profile::kModern, config::Age::kNew);
  if (kind.key != nullptr) (void)config::SetText(*draft, *kind.key, name);
  return draft;
}

absl::Status Assign(const config::Kind& kind, pb::Message& object, std::string_view text) {
  const std::optional<config::Assignment> assignment = config::ParseAssignment(text);
  if (!assignment)
    return base::Invalid(
        base::StrCat("expected field=value, field+=value or field-=value, not \"", text, "\""));
  ASSIGN_OR_RETURN(const pb::FieldDescriptor* field, config::FieldOf(kind, assignment->field));
  absl::Status status;
  switch (assignment->operation) {
    case config::Assignment::Operation::kSet:
      status = config::SetText(object, *field, assignment->value);
      break;
    case config::Assignment::Operation::kAdd:
      status = config::AddElement(object, *field, assignment->value);
      break;
    case config::Assignment::Operation::kRemove:
      status = config::RemoveElement(object, *field, assignment->value);
      break;
  }
  return base::Annotate(status, base::StrCat(kind.word, ".", field->name()));
}

class PutEdit : public Edit {
 public:
  explicit PutEdit(admin::v1::PutRequest request) : request_(std::move(request)) {}

  net::Task<absl::Status> Make(Workspace& workspace) override {
    CO_ASSIGN_OR_RETURN(const config::Kind* kind, workspace.schema().Lookup(request_.kind()));
    CO_ASSIGN_OR_RETURN(const std::string name,
                        NormalName(workspace.schema(), *kind, request_.name()));
    CO_ASSIGN_OR_RETURN(StoredPtr before, co_await workspace.Stored(*kind, name));
    CO_RETURN_IF_ERROR(CheckMode(*kind, name, before));
    const std::shared_ptr<pb::Message> after = Draft(workspace.schema(), *kind, before, name);
    std::vector<std::string> wrong;
    for (const std::string& text : request_.assignments()) {
      const absl::Status status = Assign(*kind, *after, text);
      if (!status.ok()) wrong.emplace_back(base::Message(status));
    }
    if (!wrong.empty()) co_return base::Invalid(base::Join(wrong, "\n"));
    config::RestoreMasked(*after, before ? before->value.get() : nullptr);
    workspace.Put(*kind, name, std::move(before), after);
    co_return absl::OkStatus();
  }

 private:
  absl::Status CheckMode(const config::Kind& kind, const std::string& name,
                         const StoredPtr& before) const {
    const std::string what = base::StrCat(kind.word, " \"", name, "\"");
    if (request_.mode() == admin::v1::PutRequest::CREATE && before != nullptr && !kind.singleton) {
      return base::Exists(what + " exists already (use set)");
    }
    if (request_.mode() == admin::v1::PutRequest::CHANGE && before == nullptr)
      return base::NotFound("no " + what);
    const uint64_t expected = request_.expected_revision();
    if (expected != 0 && (before == nullptr || before->revision != expected)) {
      return base::Aborted(base::StrCat(what, " was changed by somebody else meanwhile"));
    }
    return absl::OkStatus();
  }
  const admin::v1::PutRequest request_;
};

class DeleteEdit : public Edit {
 public:
  explicit DeleteEdit(admin::v1::DeleteRequest request) : request_(std::move(request)) {}
  net::Task<absl::Status> Make(Workspace& workspace) override {
    CO_ASSIGN_OR_RETURN(const config::Kind* kind, workspace.schema().Lookup(request_.kind()));
    CO_ASSIGN_OR_RETURN(const std::string name,
                        NormalName(workspace.schema(), *kind, request_.name()));
    CO_ASSIGN_OR_RETURN(StoredPtr before, co_await workspace.Stored(*kind, name));
    if (before == nullptr)
      co_return base::NotFound(base::StrCat("no ", kind->word, " \"", name, "\""));
    workspace.Remove(std::move(before));
    co_return absl::OkStatus();
  }

 private:
  const admin::v1::DeleteRequest request_;
};

class ApplyEdit : public Edit {
 public:
  explicit ApplyEdit(admin::v1::ApplyRequest request) : request_(std::move(request)) {}

  net::Task<absl::Status> Make(Workspace& workspace) override {
    CO_ASSIGN_OR_RETURN(const std::vector<config::Document> documents,
                        config::ParseDocuments(workspace.schema(), request_.yaml()));
    std::map<const config::Kind*, std::set<std::string>> named;
    std::vector<std::string> wrong;
    for (const config::Document& document : documents) {
      const std::string where = base::StrCat(document.line, ":", document.column, ": ");
      if (!named[document.kind].insert(document.name).second) {
        wrong.push_back(
            base::StrCat(where, document.kind->word, " \"", document.name, "\" is there twice"));
        continue;
      }
      CO_ASSIGN_OR_RETURN(StoredPtr before,
                          co_await workspace.Stored(*document.kind, document.name));
      const std::shared_ptr<pb::Message> after =
          Draft(workspace.schema(), *document.kind, before, document.name);
      const absl::Status filled = config::Fill(document, *after);
      if (!filled.ok()) wrong.emplace_back(base::Message(filled));
      config::RestoreMasked(*after, before ? before->value.get() : nullptr);
      workspace.Put(*document.kind, document.name, std::move(before), after);
    }
    if (!wrong.empty()) co_return base::Invalid(base::Join(wrong, "\n"));
    if (request_.prune()) CO_RETURN_IF_ERROR(co_await Prune(workspace, named));
    co_return absl::OkStatus();
  }

 private:
  static net::Task<absl::Status> Prune(
      Workspace& workspace, const std::map<const config::Kind*, std::set<std::string>>& named) {
    for (const auto& [kind, names] : named) {
      if (kind->singleton) continue;
      CO_ASSIGN_OR_RETURN(const std::vector<std::string> all, co_await workspace.Names(*kind, ""));
      for (const std::string& name : all) {
        if (names.contains(name)) continue;
        CO_ASSIGN_OR_RETURN(StoredPtr before, co_await workspace.Stored(*kind, name));
        if (before != nullptr) workspace.Remove(std::move(before));
      }
    }
    co_return absl::OkStatus();
  }
  const admin::v1::ApplyRequest request_;
};

class RollbackEdit : public Edit {
 public:
  RollbackEdit(ObjectStore& store, admin::v1::RollbackRequest request)
      : store_(store), request_(std::move(request)) {}

  net::Task<absl::Status> Make(Workspace& workspace) override {
    CO_ASSIGN_OR_RETURN(const std::vector<Span> spans,
                        co_await ReadSpans(store_, workspace.schema(), request_.to(),
                                           workspace.model().revision()));
    for (const Span& span : spans) {
      CO_ASSIGN_OR_RETURN(StoredPtr now, co_await workspace.Stored(*span.kind, span.name));
      if (span.before == nullptr) {
        if (now != nullptr) TakeBack(workspace, span, std::move(now));
        continue;
      }
      if (now == nullptr && HasWriteOnly(*span.kind)) {
        workspace.Warn(base::StrCat(span.kind->word, " \"", span.name,
                                    "\" comes back without its password: set a new one"));
      }
      workspace.Put(*span.kind, span.name, std::move(now), span.before);
    }
    co_return absl::OkStatus();
  }

 private:
  // The object was made since `to`.
  void TakeBack(Workspace& workspace, const Span& span, StoredPtr now) const {
    if (span.kind->singleton) {
      workspace.Put(*span.kind, span.name, now,
                    Draft(workspace.schema(), *span.kind, nullptr, span.name));
    } else if (span.kind->directory && !request_.prune()) {
      workspace.Warn(
          base::StrCat(span.kind->word, " \"", span.name,
                       "\" was made since and stays (--prune deletes it, with its mail)"));
    } else {
      workspace.Remove(std::move(now));
    }
  }
  static bool HasWriteOnly(const config::Kind& kind) {
    for (int i = 0; i < kind.descriptor->field_count(); ++i) {
      if (config::RulesOf(*kind.descriptor->field(i)).write_only()) return true;
    }
    return false;
  }
  ObjectStore& store_;
  const admin::v1::RollbackRequest request_;
};

class ObjectsEdit : public Edit {
 public:
  explicit ObjectsEdit(std::vector<Workspace::MessagePtr> objects) : objects_(std::move(objects)) {}
  net::Task<absl::Status> Make(Workspace& workspace) override {
    // Another admin-service was faster; with it, its password.
    if (workspace.model().revision() != 0)
      co_return base::Exists("there is a configuration already");
    for (const Workspace::MessagePtr& object : objects_) {
      const config::Kind* kind = workspace.schema().Find(object->GetDescriptor()->full_name());
      const std::string name = config::NameOf(*kind, *object);
      CO_ASSIGN_OR_RETURN(StoredPtr before, co_await workspace.Stored(*kind, name));
      // A singleton that was never stored is written out, though it has its defaults either way.
      if (before != nullptr && before->revision == 0) before = nullptr;
      workspace.Put(*kind, name, std::move(before), object);
    }
    co_return absl::OkStatus();
  }

 private:
  const std::vector<Workspace::MessagePtr> objects_;
};

}  // namespace

absl::StatusOr<std::string> NormalName(const config::Schema& schema, const config::Kind& kind,
                                       std::string_view name) {
  if (kind.key == nullptr) {
    if (name.empty() || name == config::kDefaultName) return std::string(config::kDefaultName);
    return base::NotFound(
        base::StrCat("there is one ", kind.word, ", called \"", config::kDefaultName, "\""));
  }
  if (name.empty()) return base::Invalid(base::StrCat("expected the name of a ", kind.word));
  const std::unique_ptr<pb::Message> probe = schema.New(kind);
  RETURN_IF_ERROR(base::Annotate(config::SetText(*probe, *kind.key, name),
                                 base::StrCat(kind.word, " \"", name, "\"")));
  return config::NameOf(kind, *probe);
}

std::unique_ptr<Edit> NewPut(admin::v1::PutRequest request) {
  return std::make_unique<PutEdit>(std::move(request));
}
std::unique_ptr<Edit> NewDelete(admin::v1::DeleteRequest request) {
  return std::make_unique<DeleteEdit>(std::move(request));
}
std::unique_ptr<Edit> NewApply(admin::v1::ApplyRequest request) {
  return std::make_unique<ApplyEdit>(std::move(request));
}
std::unique_ptr<Edit> NewRollback(ObjectStore& store, admin::v1::RollbackRequest request) {
  return std::make_unique<RollbackEdit>(store, std::move(request));
}
std::unique_ptr<Edit> NewObjects(std::vector<Workspace::MessagePtr> objects) {
  return std::make_unique<ObjectsEdit>(std::move(objects));
}

}  // namespace posthorn::admin_service
