#include "store-service/database/mysql/mysql_database.h"

#include <algorithm>
#include <fstream>
#include <mutex>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/forwarding_database.h"
#include "store-service/database/mysql/mail_schema.h"
#include "store-service/database/mysql/migrate.h"
#include "store-service/database/mysql/mysql_snapshot.h"
#include "store-service/database/mysql/mysql_writer.h"

namespace posthorn::store_service {
namespace {

using mysql::Connection;
using mysql::Options;

// A page of a large mailbox that lies on a slow disk takes its time.
constexpr int kReadTimeoutS = 20;

// Idle connections for snapshots; shared with the snapshots, which may outlive a burst.
class Readers {
 public:
  Readers(Options options, size_t keep) : options_(std::move(options)), keep_(keep) {
    options_.causality = Options::Causality::kReads;
    options_.use = Options::Use::kSnapshots;
    options_.io_timeout_s = std::max(options_.io_timeout_s, kReadTimeoutS);
  }
  absl::StatusOr<std::unique_ptr<Connection>> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto connection = std::move(idle_.back());
        idle_.pop_back();
        return connection;
      }
    }
    return Connection::Open(options_);
  }
  void GiveBack(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < keep_) idle_.push_back(std::move(connection));
  }

 private:
  Options options_;
  const size_t keep_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

// Of each host, whichever is in use.
std::vector<std::string> WarningsOf(const Options& options) {
  std::vector<std::string> found;
  for (const mysql::Host& host : options.target.hosts) {
    Options one = options;
    one.target.hosts = {host};
    auto connection = Connection::Open(one);
    auto here = connection.ok() ? (*connection)->DurabilityWarnings()
                                : absl::StatusOr<std::vector<std::string>>(connection.status());
    if (!here.ok()) here = {std::string(base::Message(here.status()))};
    found.insert(found.end(), here->begin(), here->end());
  }
  return found;
}

class MysqlDatabase final : public ForwardingDatabase<MysqlWriter> {
 public:
  MysqlDatabase(std::unique_ptr<MysqlWriter> writer, const MysqlDatabaseOptions& options)
      : ForwardingDatabase(*writer),
        writer_(std::move(writer)),
        options_(options.connection),
        readers_(std::make_shared<Readers>(options.connection, options.max_readers)) {}

  absl::StatusOr<std::unique_ptr<ReadSnapshot>> OpenSnapshot() override {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, readers_->Take());
    return MysqlSnapshot::Begin(std::move(connection),
                                [readers = readers_](std::unique_ptr<Connection> back) {
                                  readers->GiveBack(std::move(back));
                                });
  }
  std::vector<std::string> Warnings() override { return WarningsOf(options_); }
  DatabaseServer Server() override {
    DatabaseServer server{.engine = "MySQL or MariaDB",
                          .place = mysql::ToString(options_.target),
                          .node = mysql::ToString(writer_->host())};
    absl::StatusOr<std::unique_ptr<Connection>> connection = readers_->Take();
    if (!connection.ok()) return server;
    if (absl::StatusOr<std::string> engine = (*connection)->Engine(); engine.ok())
      server.engine = *std::move(engine);
    readers_->GiveBack(*std::move(connection));
    return server;
  }

 private:
  std::unique_ptr<MysqlWriter> writer_;
  const Options options_;
  std::shared_ptr<Readers> readers_;
};

}  // namespace

absl::StatusOr<MysqlDatabaseOptions> MysqlOptionsFromFlags(std::string_view url,
                                                           const std::string& password_file,
                                                           const std::string& ca_file) {
  MysqlDatabaseOptions options;
  ASSIGN_OR_RETURN(options.connection.target, mysql::ParseTarget(url));
  options.connection.ca_file = ca_file;
  if (password_file.empty()) return options;
  std::ifstream file(password_file);
  std::string line;
  if (!std::getline(file, line) && !file.eof()) {
    return base::Invalid(
        base::StrCat("--database-password-file ", password_file, " cannot be read"));
  }
  options.connection.password = base::Trim(line);
  return options;
}

absl::StatusOr<std::unique_ptr<Database>> OpenMysqlDatabase(const MysqlDatabaseOptions& options) {
  RETURN_IF_ERROR(mysql::Migrate(options.connection, "mail", MysqlMailSteps()));
  // A round through the cluster at each commit would buy nothing: the fence conflicts by itself.
  Options writes = options.connection;
  writes.causality = Options::Causality::kNone;
  writes.scripts = Options::Scripts::kYes;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(std::move(writes)));
  return std::unique_ptr<Database>(std::make_unique<MysqlDatabase>(
      std::make_unique<MysqlWriter>(std::move(connection)), options));
}

}  // namespace posthorn::store_service
