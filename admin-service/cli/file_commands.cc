#include <iostream>

#include "admin-service/cli/commands.h"
#include "admin-service/cli/render.h"
#include "admin-service/cli/sources.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::cli {
namespace {

absl::StatusOr<uint64_t> RevisionOf(const std::string& word) {
  const auto revision = base::ParseInt<uint64_t>(word);
  if (!revision)
    return UsageError(
        base::StrCat("expected a revision, not \"", word, "\" (see posthorn history)"));
  return *revision;
}

// With prune a typing mistake could empty an installation, so it is never implied.
absl::Status ApplyFiles(AdminClient& admin, const Call& call, bool dry_run) {
  const auto files = call.arguments.options.find("--file");
  if (files == call.arguments.options.end()) return UsageError("expected -f FILE");
  Sources sources;
  for (const std::string& path : files->second) RETURN_IF_ERROR(sources.Add(path));
  admin::v1::ApplyRequest request;
  request.set_yaml(sources.text());
  request.set_dry_run(dry_run);
  request.set_prune(call.arguments.Has("--prune"));
  request.set_reason(call.arguments.Value("--reason"));
  const auto reply = admin.Call(rpc::admin::kConfigApply, std::move(request));
  if (absl::IsInvalidArgument(reply.status()))
    return base::Invalid(sources.Locate(base::Message(reply.status())));
  return TellChange(call, reply, "nothing to change");
}

}  // namespace

absl::Status ApplyCommand(AdminClient& admin, const Call& call) {
  return ApplyFiles(admin, call, call.arguments.Has("--dry-run"));
}

absl::Status ExportCommand(AdminClient& admin, const Call& call) {
  ASSIGN_OR_RETURN(const config::Schema* schema, admin.schema());
  std::vector<std::string> words = call.words;
  if (words.empty()) {
    // Domains before what lives in them; else the order people read.
    for (const config::Kind& kind : schema->kinds()) words.push_back(kind.word);
  }
  std::vector<Shown> all;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(const config::Kind* kind, schema->Lookup(word));
    ASSIGN_OR_RETURN(const auto objects, ListAll(admin, kind->word, ""));
    for (const admin::v1::ConfigObject& object : objects) {
      ASSIGN_OR_RETURN(Shown shown, Read(*schema, object));
      all.push_back(std::move(shown));
    }
  }
  ASSIGN_OR_RETURN(const Output output, OutputOf(call.arguments));
  std::cout << (output == Output::kJson ? ObjectsAsJson(all) : ObjectsAsYaml(all));
  return absl::OkStatus();
}

absl::Status DiffCommand(AdminClient& admin, const Call& call) {
  if (call.arguments.Has("--file")) return ApplyFiles(admin, call, true);
  if (call.words.empty() || call.words.size() > 2)
    return UsageError("expected -f FILE, or one or two revisions");
  admin::v1::DiffRequest request;
  ASSIGN_OR_RETURN(const uint64_t from, RevisionOf(call.words[0]));
  request.set_from(from);
  if (call.words.size() == 2) {
    ASSIGN_OR_RETURN(const uint64_t to, RevisionOf(call.words[1]));
    request.set_to(to);
  }
  return TellChange(call, admin.Call(rpc::admin::kConfigDiff, std::move(request)), "no difference");
}

absl::Status HistoryCommand(AdminClient& admin, const Call& call) {
  admin::v1::HistoryRequest request;
  request.set_limit(base::ParseInt<uint32_t>(call.arguments.Value("--limit")).value_or(20));
  ASSIGN_OR_RETURN(const admin::v1::HistoryReply reply,
                   admin.Call(rpc::admin::kConfigHistory, std::move(request)));
  ASSIGN_OR_RETURN(const Output output, OutputOf(call.arguments));
  if (output != Output::kTable) {
    std::cout << Json(reply);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const admin::v1::RevisionInfo& revision : reply.revisions()) {
    rows.push_back({base::StrCat(revision.revision()), TimeText(revision.time_ms()),
                    revision.author(), base::StrCat(revision.changes()), revision.reason()});
  }
  std::cout << Table({"REVISION", "TIME", "AUTHOR", "OBJECTS", "REASON"}, rows);
  return absl::OkStatus();
}

absl::Status RollbackCommand(AdminClient& admin, const Call& call) {
  if (call.words.size() != 1) return UsageError("expected a revision");
  admin::v1::RollbackRequest request;
  ASSIGN_OR_RETURN(const uint64_t to, RevisionOf(call.words[0]));
  request.set_to(to);
  request.set_prune(call.arguments.Has("--prune"));
  request.set_reason(call.arguments.Value("--reason"));
  return TellChange(call, admin.Call(rpc::admin::kConfigRollback, std::move(request)),
                    "nothing to change");
}

}  // namespace posthorn::cli
