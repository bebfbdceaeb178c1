// posthorn store migrate: a store on files moves to a database while it works.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "admin-service/cli/commands.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::cli {
namespace {

absl::StatusOr<std::string> Contents(const Call& call, const std::string& option) {
  const std::string path = call.arguments.Value(option);
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound(base::StrCat(option, " ", path, " cannot be read"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string Took(uint64_t ms) {
  if (ms < 1000) return base::StrCat(ms, " ms");
  return base::StrCat(ms / 1000, ".", ms % 1000 / 100, " s");
}

// Prints a line for each phase and each tenth of the copy.
class Progress {
 public:
  void Print(const admin::v1::StoreMigrateReply& reply) {
    if (reply.phase() == "done") return;
    const uint64_t percent = reply.total() == 0 ? 0 : reply.done() * 100 / reply.total();
    if (!reply.line().empty()) {
      std::cout << reply.phase() << ": " << reply.line() << std::endl;
    } else if (reply.phase() != phase_ || percent >= next_) {
      std::cout << reply.phase();
      if (!reply.table().empty()) std::cout << " " << reply.table();
      if (reply.phase() == "copy")
        std::cout << ": " << percent << "% (" << reply.done() << " of " << reply.total()
                  << " rows)";
      std::cout << std::endl;
      next_ = percent / 10 * 10 + 10;
    }
    phase_ = reply.phase();
  }

 private:
  std::string phase_;
  uint64_t next_ = 0;
};

void PrintWhatNow(const Call& call) {
  std::string flags =
      base::StrCat("--database ", call.arguments.Value("--to"), " --database-password-file FILE");
  if (call.arguments.Has("--database-ca")) flags += " --database-ca FILE";
  std::cout << "\nThe store takes no more mail and no changes until it is started again on the "
               "database:\n"
               "  posthorn up:  posthorn down, then posthorn up … "
            << flags << "\n  systemd:      STORE_SERVICE_OPTIONS=\"" << flags
            << "\" in /etc/posthorn/options,\n"
               "                then systemctl restart posthorn-store-service\n"
               "  compose:      these flags in the store's command, the password as a secret; then "
               "docker compose up -d\n"
               "FILE is one on the store's machine that its user can read. The message files stay "
               "where they are.\n";
}

}  // namespace

absl::Status StoreMigrate(AdminClient& admin, const Call& call) {
  admin::v1::StoreMigrateRequest request;
  request.set_target(call.arguments.Value("--to"));
  if (request.target().empty()) return UsageError("expected --to mysql://USER@HOST[:PORT]/NAME");
  ASSIGN_OR_RETURN(const std::string password, Contents(call, "--database-password-file"));
  request.set_password(std::string(base::Trim(password.substr(0, password.find('\n')))));
  ASSIGN_OR_RETURN(*request.mutable_ca(), Contents(call, "--database-ca"));
  Progress progress;
  admin::v1::StoreMigrateReply verdict;
  const absl::Status status =
      admin.Stream<admin::v1::StoreMigrateRequest, admin::v1::StoreMigrateReply>(
          rpc::admin::kOperationsStoreMigrate, std::move(request),
          [&](const admin::v1::StoreMigrateReply& reply) {
            progress.Print(reply);
            verdict = reply;
          });
  if (!status.ok()) return status;
  if (verdict.phase() != "done")
    return base::Unavailable("the store ended without a verdict: ask posthorn status");
  const uint64_t rate = verdict.messages() * 1000 / std::max<uint64_t>(1, verdict.copy_ms());
  std::cout << "done: " << verdict.messages() << " messages, " << verdict.done()
            << " rows, the same on both sides; copied in " << Took(verdict.copy_ms()) << " ("
            << rate << " messages a second), writing stopped for " << Took(verdict.stop_ms())
            << "\n";
  PrintWhatNow(call);
  return absl::OkStatus();
}

}  // namespace posthorn::cli
