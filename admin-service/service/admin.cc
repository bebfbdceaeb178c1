#include "admin-service/service/admin.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "admin-service/service/bootstrap.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/observe/log.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kFirstPause{20};
constexpr std::chrono::milliseconds kLongestPause{1000};
// Another replica's commits are seen this late at most.
constexpr std::chrono::milliseconds kFollow{1000};

std::vector<std::string> OwnNames() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  std::vector<std::string> names;
  if (name[0] != '\0') names.emplace_back(name);
  if (names.empty() || names.front() != "localhost") names.emplace_back("localhost");
  return names;
}

}  // namespace

const std::vector<std::string>& WatchingProcesses() {
  static const auto* const kProcesses =
      new std::vector<std::string>{"delivery-queue", "imap-gateway", "pop3-gateway",
                                   "smtp-gateway",   "spam-service", "store-service"};
  return *kProcesses;
}

Admin::Admin(net::Loop& loop, const config::Schema& schema, ObjectStore& objects,
             rpc::Client& store, cluster::Queues& queue, Options options)
    : loop_(loop),
      options_(std::move(options)),
      schema_(schema),
      objects_(objects),
      models_(loop, schema, objects),
      authority_(schema, objects, models_, options_.key),
      config_(schema, objects, models_, authority_),
      companions_(loop, store,
                  [this] {
                    admin::v1::ProcessReport report = options_.describe();
                    report.set_config_revision(models_.current()->revision());
                    return report;
                  }),
      status_({loop, store, queue, config_, models_, companions_, WatchingProcesses()}),
      operations_({loop, store, queue}, config_, status_, authority_) {}

void Admin::Register(rpc::Server& server) {
  config_.Register(server, WatchingProcesses());
  companions_.Register(server, WatchingProcesses());
  operations_.Register(server);
  server.EnableReflection();
}

net::Task<absl::Status> Admin::Start() {
  std::chrono::milliseconds pause = kFirstPause;
  bool told = false;
  while (!stopped_) {
    absl::Status status = co_await models_.Refresh();
    if (status.ok() && models_.current()->revision() == 0) status = co_await Bootstrap();
    if (status.ok()) status = co_await TakeTokenKey();
    if (status.ok()) break;
    // The store may be starting; anything else is worth a line.
    if (!told && pause == kLongestPause)
      observe::Warning("admin.waiting_for_store", {{"reason", base::Message(status)}});
    told = told || pause == kLongestPause;
    co_await net::Sleep(loop_, pause);
    pause = std::min(pause * 2, kLongestPause);
  }
  companions_.Start();
  loop_.Spawn("admin.follow", Follow());
  co_return absl::OkStatus();
}

net::Task<absl::Status> Admin::TakeTokenKey() {
  CO_ASSIGN_OR_RETURN(std::string key, co_await objects_.TokenKey());
  if (!key.empty()) authority_.SetKey(std::move(key));
  co_return absl::OkStatus();
}

net::Task<absl::Status> Admin::Bootstrap() {
  const std::string password = RandomPassword();
  CO_ASSIGN_OR_RETURN(auto objects, FirstObjects(OwnNames(), password));
  // Before the commit: a password that nobody was told would lock everybody out.
  const bool kept = KeepPassword(password);
  const auto done =
      co_await config_.editor().Run(NewObjects(std::move(objects)), {"posthorn", "first start"});
  if (!done.ok()) {
    // Without an answer it may be the administrator's. And another admin-service that was faster
    // may have put its own into the same file.
    const bool unknown =
        absl::IsUnavailable(done.status()) || absl::IsDeadlineExceeded(done.status());
    if (kept && !unknown && HasPassword(password)) unlink(options_.password_file.c_str());
    // What we would begin with must be valid: a fault of the program, not of its surroundings.
    if (absl::IsInvalidArgument(done.status())) {
      observe::Error("admin.bootstrap", {{"reason", base::Message(done.status())}});
    }
    co_return done.status();
  }
  // One that was slower may have put its own there.
  if (kept && !HasPassword(password)) KeepPassword(password);
  observe::Info("admin.first_start",
                {{"administrator", "admin"}, {"password_file", options_.password_file}});
  if (!kept) std::cout << "Administrator \"admin\" has the password " << password << std::endl;
  co_return absl::OkStatus();
}

bool Admin::KeepPassword(const std::string& password) const {
  if (options_.password_file.empty()) return false;
  const int fd =
      open(options_.password_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string line = password + "\n";
  const bool written =
      fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  if (fd >= 0) close(fd);
  if (!written) observe::Error("admin.password_file", {{"path", options_.password_file}});
  return written;
}

bool Admin::HasPassword(const std::string& password) const {
  const auto now = file::ReadWhole(file::Real(), options_.password_file);
  return now.ok() && *now == password + "\n";
}

net::Task<void> Admin::Follow() {
  while (!stopped_) {
    co_await net::Sleep(loop_, kFollow);
    const bool was = models_.fresh();
    const absl::Status status = co_await models_.Refresh();
    status_.NoteRevision();
    if (was && !status.ok())
      observe::Warning("admin.store_away", {{"reason", base::Message(status)}});
  }
}

std::string Admin::Missing() const {
  return models_.fresh() || models_.current()->revision() != 0 ? ""
                                                               : "store-service does not answer";
}

}  // namespace posthorn::admin_service
