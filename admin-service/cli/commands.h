#pragma once

// The commands of `posthorn`. Each gets what was typed behind it and answers with an exit status.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "admin-service/cli/admin_client.h"
#include "admin-service/cli/arguments.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::cli {

// What was typed behind the command's word, and the options.
struct Call {
  const Arguments& arguments;
  std::vector<std::string> words;
};

struct Command {
  std::string_view word;
  std::string_view usage;  // behind the word
  std::string_view help;   // one line
  // What completion offers behind the word: "kind", "kind name", "kind name field", …
  std::string_view completes;
  absl::Status (*run)(AdminClient& admin, const Call& call);
};

// All that talk to admin-service.
const std::vector<Command>& Commands();

// Config (config_commands.cc, file_commands.cc) and Operations (operations_commands.cc).
absl::Status GetCommand(AdminClient& admin, const Call& call);
absl::Status ListCommand(AdminClient& admin, const Call& call);
absl::Status AddCommand(AdminClient& admin, const Call& call);
absl::Status SetCommand(AdminClient& admin, const Call& call);
absl::Status DeleteCommand(AdminClient& admin, const Call& call);
absl::Status ApplyCommand(AdminClient& admin, const Call& call);
absl::Status ExportCommand(AdminClient& admin, const Call& call);
absl::Status DiffCommand(AdminClient& admin, const Call& call);
absl::Status HistoryCommand(AdminClient& admin, const Call& call);
absl::Status RollbackCommand(AdminClient& admin, const Call& call);
absl::Status ExplainCommand(AdminClient& admin, const Call& call);
absl::Status StatusCommand(AdminClient& admin, const Call& call);
absl::Status QueueCommand(AdminClient& admin, const Call& call);
absl::Status TraceCommand(AdminClient& admin, const Call& call);
absl::Status PasswdCommand(AdminClient& admin, const Call& call);
absl::Status StoreCommand(AdminClient& admin, const Call& call);
// A part of StoreCommand (store_migrate.cc).
absl::Status StoreMigrate(AdminClient& admin, const Call& call);
absl::Status LoginCommand(AdminClient& admin, const Call& call);

// Objects of a kind, all pages.
absl::StatusOr<std::vector<admin::v1::ConfigObject>> ListAll(AdminClient& admin,
                                                             const std::string& kind,
                                                             const std::string& match);
// Table, JSON or YAML as --output says; kInvalidArgument for another word.
enum class Output { kTable, kJson, kYaml };
absl::StatusOr<Output> OutputOf(const Arguments& arguments);
// Prints what changed.
absl::Status TellChange(const Call& call, const absl::StatusOr<admin::v1::ChangeReply>& reply,
                        std::string_view nothing);

// A mistake in what was typed: exit code 2.
absl::Status UsageError(std::string_view what);
bool IsUsageError(const absl::Status& status);

}  // namespace posthorn::cli
