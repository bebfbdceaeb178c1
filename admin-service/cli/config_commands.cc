#include <google/protobuf/descriptor.h>

#include <iostream>

#include "admin-service/cli/commands.h"
#include "admin-service/cli/prompt.h"
#include "admin-service/cli/render.h"
#include "admin-service/up/files.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/values.h"
#include "lib/rpc/methods/admin.h"
#include "posthorn/config/v1/options.pb.h"

namespace posthorn::cli {
namespace {

absl::Status Print(AdminClient& admin, const Call& call,
                   const std::vector<admin::v1::ConfigObject>& objects, bool details) {
  ASSIGN_OR_RETURN(const Output output, OutputOf(call.arguments));
  ASSIGN_OR_RETURN(const config::Schema* schema, admin.schema());
  std::vector<Shown> shown;
  for (const admin::v1::ConfigObject& object : objects) {
    ASSIGN_OR_RETURN(Shown one, Read(*schema, object));
    shown.push_back(std::move(one));
  }
  switch (output) {
    case Output::kTable:
      std::cout << (details ? ObjectDetails(shown.front()) : ObjectTable(shown));
      break;
    case Output::kJson:
      std::cout << ObjectsAsJson(shown);
      break;
    case Output::kYaml:
      std::cout << ObjectsAsYaml(shown);
      break;
  }
  return absl::OkStatus();
}

// "password=-" asks for the value, so that it stands neither in the shell's history nor in the list
// of processes; "chain=@FILE" reads a PEM field's value from a file.
absl::Status FillIn(const config::Kind& kind, std::vector<std::string>& assignments) {
  for (std::string& text : assignments) {
    const auto assignment = config::ParseAssignment(text);
    if (!assignment) continue;
    const auto field = config::FieldOf(kind, assignment->field);
    if (!field.ok()) continue;
    const config::v1::FieldRules& rules = config::RulesOf(**field);
    if (rules.form() == config::v1::FieldRules::PEM && assignment->value.starts_with('@')) {
      ASSIGN_OR_RETURN(const std::string value, up::ReadFile(assignment->value.substr(1)));
      text = base::StrCat(assignment->field, "=", value);
    } else if (assignment->value == "-" && (rules.secret() || rules.write_only())) {
      ASSIGN_OR_RETURN(const std::string value,
                       AskPassword(base::StrCat("Value of ", assignment->field, ": ")));
      text = base::StrCat(assignment->field, "=", value);
    }
  }
  return absl::OkStatus();
}

absl::Status Put(AdminClient& admin, const Call& call, admin::v1::PutRequest::Mode mode) {
  if (call.words.empty()) return UsageError("expected a kind");
  ASSIGN_OR_RETURN(const config::Schema* schema, admin.schema());
  ASSIGN_OR_RETURN(const config::Kind* kind, schema->Lookup(call.words[0]));
  size_t first = 1;
  admin::v1::PutRequest request;
  request.set_kind(kind->word);
  // "set settings spf=off" needs no name.
  if (!kind->singleton || (call.words.size() > 1 && call.words[1] == config::kDefaultName)) {
    if (call.words.size() < 2)
      return UsageError(base::StrCat("expected the name of a ", kind->word));
    request.set_name(call.words[1]);
    first = 2;
  }
  std::vector<std::string> assignments(call.words.begin() + static_cast<long>(first),
                                       call.words.end());
  if (mode == admin::v1::PutRequest::CHANGE && assignments.empty())
    return UsageError("expected field=value");
  RETURN_IF_ERROR(FillIn(*kind, assignments));
  request.mutable_assignments()->Add(assignments.begin(), assignments.end());
  request.set_mode(kind->singleton ? admin::v1::PutRequest::ANY : mode);
  request.set_reason(call.arguments.Value("--reason"));
  return TellChange(call, admin.Call(rpc::admin::kConfigPut, std::move(request)),
                    "nothing to change");
}

}  // namespace

absl::StatusOr<std::vector<admin::v1::ConfigObject>> ListAll(AdminClient& admin,
                                                             const std::string& kind,
                                                             const std::string& match) {
  std::vector<admin::v1::ConfigObject> out;
  admin::v1::ListRequest request;
  request.set_kind(kind);
  request.set_match(match);
  for (bool more = true; more;) {
    ASSIGN_OR_RETURN(const admin::v1::ListReply reply,
                     admin.Call(rpc::admin::kConfigList, request));
    out.insert(out.end(), reply.objects().begin(), reply.objects().end());
    more = reply.more() && reply.objects_size() > 0;
    if (more) request.set_after(out.back().name());
  }
  return out;
}

absl::Status ListCommand(AdminClient& admin, const Call& call) {
  if (call.words.empty() || call.words.size() > 2) return UsageError("expected a kind");
  const std::string match = call.words.size() > 1 ? call.words[1] : call.arguments.Value("--match");
  ASSIGN_OR_RETURN(const auto objects, ListAll(admin, call.words[0], match));
  return Print(admin, call, objects, false);
}

absl::Status GetCommand(AdminClient& admin, const Call& call) {
  if (call.words.empty()) return UsageError("expected a kind");
  ASSIGN_OR_RETURN(const config::Schema* schema, admin.schema());
  ASSIGN_OR_RETURN(const config::Kind* kind, schema->Lookup(call.words[0]));
  if (call.words.size() < 2 && !kind->singleton) return ListCommand(admin, call);
  std::vector<std::string> names(call.words.begin() + 1, call.words.end());
  if (names.empty()) names.emplace_back(config::kDefaultName);
  std::vector<admin::v1::ConfigObject> objects;
  for (const std::string& name : names) {
    admin::v1::GetRequest request;
    request.set_kind(kind->word);
    request.set_name(name);
    ASSIGN_OR_RETURN(admin::v1::ConfigObject object,
                     admin.Call(rpc::admin::kConfigGet, std::move(request)));
    objects.push_back(std::move(object));
  }
  return Print(admin, call, objects, objects.size() == 1);
}

absl::Status AddCommand(AdminClient& admin, const Call& call) {
  return Put(admin, call, admin::v1::PutRequest::CREATE);
}
absl::Status SetCommand(AdminClient& admin, const Call& call) {
  return Put(admin, call, admin::v1::PutRequest::CHANGE);
}

absl::Status DeleteCommand(AdminClient& admin, const Call& call) {
  if (call.words.size() < 2) return UsageError("expected a kind and names");
  for (size_t i = 1; i < call.words.size(); ++i) {
    admin::v1::DeleteRequest request;
    request.set_kind(call.words[0]);
    request.set_name(call.words[i]);
    request.set_reason(call.arguments.Value("--reason"));
    RETURN_IF_ERROR(TellChange(call, admin.Call(rpc::admin::kConfigDelete, std::move(request)),
                               "nothing to delete"));
  }
  return absl::OkStatus();
}

absl::Status ExplainCommand(AdminClient& admin, const Call& call) {
  ASSIGN_OR_RETURN(const config::Schema* schema, admin.schema());
  if (call.words.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const config::Kind& kind : schema->kinds()) rows.push_back({kind.word, kind.help});
    std::cout << Table({"KIND", "MEANING"}, rows);
    return absl::OkStatus();
  }
  for (const std::string& what : call.words) {
    ASSIGN_OR_RETURN(const std::string text, Explain(*schema, what));
    std::cout << text;
  }
  return absl::OkStatus();
}

}  // namespace posthorn::cli
