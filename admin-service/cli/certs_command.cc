#include "admin-service/cli/certs_command.h"

#include <ctime>
#include <iostream>

#include "admin-service/cli/admin_client.h"
#include "admin-service/cli/commands.h"
#include "admin-service/cli/render.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/certs/folder.h"

namespace posthorn::cli {
namespace {

constexpr int64_t kDay = 86400;

absl::StatusOr<certs::FolderOptions> FolderOptionsOf(const Arguments& arguments) {
  certs::FolderOptions options;
  options.dir = arguments.Has("--dir") ? arguments.Value("--dir") : Directory(arguments) + "/certs";
  const std::string hosts = arguments.Value("--hosts");
  for (const std::string_view host : base::Split(hosts, ',')) {
    if (!host.empty()) options.hosts.emplace_back(host);
  }
  if (arguments.Has("--days")) {
    const auto days = base::ParseInt<int>(arguments.Value("--days"));
    if (!days || *days < 1 || *days > certs::kAuthorityDays) {
      return UsageError(base::StrCat("--days takes 1 to ", certs::kAuthorityDays));
    }
    options.days = *days;
  }
  return options;
}

absl::Status Tell(const absl::StatusOr<std::vector<std::string>>& done) {
  RETURN_IF_ERROR(done.status());
  for (const std::string& line : *done) std::cout << line << "\n";
  if (done->empty()) std::cout << "nothing is due\n";
  return absl::OkStatus();
}

absl::Status Show(const std::string& dir) {
  ASSIGN_OR_RETURN(const std::vector<certs::Listed> all, certs::ListFolder(dir));
  const int64_t now = std::time(nullptr);
  std::vector<std::vector<std::string>> rows;
  bool wrong = false;
  for (const certs::Listed& one : all) {
    wrong |= !one.problem.empty();
    rows.push_back({one.owner, one.subject,
                    one.not_after == 0 ? "-" : base::StrCat((one.not_after - now) / kDay),
                    one.problem.empty() ? "-" : one.problem});
  }
  std::cout << Table({"FOR", "NAME", "DAYS LEFT", "PROBLEM"}, rows);
  return wrong ? base::Precondition("") : absl::OkStatus();
}

}  // namespace

absl::Status CertsCommand(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const certs::FolderOptions options, FolderOptionsOf(arguments));
  const std::string verb = arguments.words.size() == 2 ? arguments.words[1] : "";
  if (verb == "init") return Tell(certs::InitFolder(options));
  if (verb == "show") return Show(options.dir);
  if (verb == "ensure") {
    // What a container that runs at each start of all others does: once made, only what is due.
    absl::StatusOr<std::vector<std::string>> made = certs::InitFolder(options);
    if (!absl::IsAlreadyExists(made.status())) return Tell(made);
    return Tell(certs::RenewFolder({options}));
  }
  if (verb != "renew") return UsageError(base::StrCat("usage: posthorn ", kCertsUsage));
  certs::RenewOptions renew{options};
  if (arguments.Has("--force")) renew.what = certs::RenewOptions::What::kAll;
  if (arguments.Has("--ca")) renew.authority = certs::RenewOptions::Authority::kNow;
  return Tell(certs::RenewFolder(renew));
}

}  // namespace posthorn::cli
