#include "admin-service/cli/commands.h"

#include <iostream>

#include "admin-service/cli/render.h"
#include "lib/base/strings.h"

namespace posthorn::cli {
namespace {

// Tells our own complaints from admin-service's kInvalidArgument.
constexpr char kUsageUrl[] = "posthorn/usage";

}  // namespace

const std::vector<Command>& Commands() {
  static const auto* const kAll = new std::vector<Command>{
      {"status", "[--wait 30s]",
       "how all processes are, and what is wrong; --wait: when nothing starts any more", "",
       StatusCommand},
      {"list", "KIND [TEXT]", "objects of a kind whose name contains TEXT", "kind", ListCommand},
      {"get", "KIND [NAME…]", "one object with all its fields", "kind name", GetCommand},
      {"add", "KIND NAME [FIELD=VALUE…]", "a new object (password=- asks for it)", "kind field",
       AddCommand},
      {"set", "KIND NAME FIELD=VALUE…", "changes fields; FIELD+=V and FIELD-=V for lists",
       "kind name field", SetCommand},
      {"delete", "KIND NAME…", "deletes objects", "kind name", DeleteCommand},
      {"apply", "-f FILE… [--dry-run] [--prune]", "YAML or JSON documents, as one revision", "",
       ApplyCommand},
      {"export", "[KIND…]", "everything as YAML, secrets masked", "kinds", ExportCommand},
      {"diff", "-f FILE… | FROM [TO]",
       "what a file would change, or what changed between revisions", "", DiffCommand},
      {"history", "[--limit N]", "revisions, who made them and why", "", HistoryCommand},
      {"rollback", "REVISION [--prune]", "a new revision that brings an old one back", "",
       RollbackCommand},
      {"explain", "[KIND[.FIELD]]", "what can be configured", "explain", ExplainCommand},
      {"queue", "[list|retry|hold|release|remove|bounce] [ID…] [--match TEXT]", "mail that waits",
       "queue", QueueCommand},
      {"trace", "ID|ADDRESS|WORDS [--from 2h] [--to 1h]", "the story of a message", "account",
       TraceCommand},
      {"passwd", "[account|administrator] NAME", "sets a password", "account", PasswdCommand},
      {"store",
       "check [--repair] | journals | forget-journal ID | migrate --to "
       "mysql://USER@HOST[:PORT]/NAME"
       " [--database-password-file FILE] [--database-ca FILE]",
       "verifies all that is stored; the queues' journals that keep bytes alive; moves everything "
       "to a database",
       "store", StoreCommand},
      {"login", "[--user NAME]", "prints a token for POSTHORN_TOKEN, good for 12 hours", "",
       LoginCommand}};
  return *kAll;
}

absl::Status UsageError(std::string_view what) {
  absl::Status status = base::Invalid(what);
  status.SetPayload(kUsageUrl, absl::Cord("1"));
  return status;
}

bool IsUsageError(const absl::Status& status) { return status.GetPayload(kUsageUrl).has_value(); }

absl::StatusOr<Output> OutputOf(const Arguments& arguments) {
  const std::string word = arguments.Value("--output");
  if (word.empty() || word == "table") return Output::kTable;
  if (word == "json") return Output::kJson;
  if (word == "yaml") return Output::kYaml;
  return UsageError("--output takes table, json or yaml");
}

absl::Status TellChange(const Call& call, const absl::StatusOr<admin::v1::ChangeReply>& reply,
                        std::string_view nothing) {
  if (!reply.ok()) return reply.status();
  const absl::StatusOr<Output> output = OutputOf(call.arguments);
  if (!output.ok()) return output.status();
  if (*output != Output::kTable) {
    std::cout << Json(*reply);
    return absl::OkStatus();
  }
  std::cout << Differences(*reply);
  if (reply->differences().empty()) std::cout << nothing << "\n";
  if (reply->revision() > 0) std::cout << "revision " << reply->revision() << "\n";
  return absl::OkStatus();
}

}  // namespace posthorn::cli
