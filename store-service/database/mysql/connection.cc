#include "store-service/database/mysql/connection.h"

#include <utility>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "store-service/database/mysql/error.h"
#include "store-service/database/mysql/link.h"

namespace posthorn::mysql {
namespace {

// Whoever holds rows locked and says nothing for so long (a stopped process, a dead machine) loses
// them, and its transaction. Well below the lanes' lease.
constexpr char kIdleMariaDb[] = ", idle_write_transaction_timeout=4";
// MySQL has only the time-out for all that is idle.
constexpr char kIdleMySql[] = ", wait_timeout=15";

constexpr char kBegin[] = "START TRANSACTION";

// Links that were made again.
struct Reconnects {
  static const Reconnects& Get() {
    static const Reconnects kAll;
    return kAll;
  }
  observe::Counter* same;
  observe::Counter* other;

 private:
  Reconnects() : same(Make("same")), other(Make("other")) {}
  static observe::Counter* Make(const char* server) {
    return observe::NewCounter("posthorn_store_database_reconnects_total",
                               "Links to the database made anew, to the same server or another one",
                               {{"server", server}});
  }
};

}  // namespace

absl::StatusOr<Connection::Link::Server> Connection::Link::Inspect() {
  ASSIGN_OR_RETURN(auto variables,
                   Show("SHOW VARIABLES WHERE Variable_name IN ('version','wsrep_on','read_only',"
                        "'group_replication_consistency')"));
  Server found;
  found.mariadb = variables["version"].find("MariaDB") != std::string::npos;
  found.galera = variables["wsrep_on"] == "ON";
  found.group_replication = variables.contains("group_replication_consistency");
  if (variables["read_only"] == "ON") return base::Unavailable("the server is read-only");
  if (!found.galera) return found;
  // A handshake succeeds on a node without quorum too.
  ASSIGN_OR_RETURN(auto status, Show("SHOW STATUS LIKE 'wsrep_ready'"));
  if (status["wsrep_ready"] != "ON") return base::Unavailable("the Galera node is not ready");
  return found;
}

absl::Status Connection::Link::SetUp(const Options& options) {
  // PIPES_AS_CONCAT: SQL that is shared with SQLite means the same.
  std::string text =
      "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,"
      "PIPES_AS_CONCAT', time_zone='+00:00', innodb_lock_wait_timeout=4";
  text += server.mariadb ? kIdleMariaDb : kIdleMySql;
  if (server.galera) {
    text += options.causality == Options::Causality::kReads ? ", wsrep_sync_wait=1"
                                                            : ", wsrep_sync_wait=0";
  }
  // Of MySQL's own cluster a new primary answers only when it has caught up.
  if (server.group_replication) {
    text += ", group_replication_consistency='BEFORE_ON_PRIMARY_FAILOVER'";
  }
  RETURN_IF_ERROR(Execute(text).status());
  // Guarded updates must see the newest row, and nothing here relies on gap locks: every conflict
  // is on a row or on a unique key.
  const bool writes = options.use == Options::Use::kWrites;
  return Execute(writes ? "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
                        : "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
      .status();
}

void MakeMetrics() { Reconnects::Get(); }

Connection::Connection(Options options) : options_(std::move(options)) {}
Connection::~Connection() = default;

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(Options options) {
  std::unique_ptr<Connection> connection(new Connection(std::move(options)));
  RETURN_IF_ERROR(connection->Ready());
  return connection;
}

absl::Status Connection::Ready() {
  EnterThread();
  if (link_ && !link_->lost) return absl::OkStatus();
  return Connect();
}

absl::StatusOr<std::unique_ptr<Connection::Link>> Connection::ConnectTo(const Host& host) {
  auto link = std::make_unique<Link>();
  RETURN_IF_ERROR(link->Open(options_, host));
  ASSIGN_OR_RETURN(link->server, link->Inspect());
  RETURN_IF_ERROR(link->SetUp(options_));
  return link;
}

absl::Status Connection::Connect() {
  link_.reset();
  absl::Status first;
  for (size_t i = 0; i < options_.target.hosts.size(); ++i) {
    absl::StatusOr<std::unique_ptr<Link>> link = ConnectTo(options_.target.hosts[i]);
    if (link.ok()) {
      link_ = *std::move(link);
      link_->number = ++links_;
      if (links_ > 1) (i == host_ ? Reconnects::Get().same : Reconnects::Get().other)->Add();
      host_ = i;
      return absl::OkStatus();
    }
    const absl::Status here = base::Annotate(link.status(), ToString(options_.target.hosts[i]));
    first = first.ok() ? here : base::Annotate(here, base::Message(first));
  }
  return first;
}

const Host& Connection::host() const { return options_.target.hosts[host_]; }
uint64_t Connection::links() const { return links_; }
bool Connection::is_galera() const { return link_ && link_->server.galera; }
bool Connection::is_mariadb() const { return link_ && link_->server.mariadb; }
int64_t Connection::changes() const { return changes_; }

absl::Status Connection::RunStatement(Cursor& cursor, std::string_view sql) {
  RETURN_IF_ERROR(Usable());
  if (in_transaction_) {
    const absl::Status status = cursor.Execute();
    // A table was changed by a newer program since the snapshot began. There is nothing to run
    // again, but another snapshot can be taken.
    const bool snapshot = options_.use == Options::Use::kSnapshots;
    return snapshot && IsRetry(status) ? base::Unavailable(base::Message(status)) : status;
  }
  const absl::Status status = cursor.Execute();
  if (!link_->lost || !base::StartsWithIgnoreCase(sql, "SELECT")) return status;
  RETURN_IF_ERROR(Ready());
  return cursor.Execute();
}

absl::Status Connection::Usable() {
  if (!in_transaction_) return Ready();
  if (begins_later_) return BeginNow("", kBegin);
  return link_ && !link_->lost ? absl::OkStatus()
                               : base::Unavailable("database: the link was lost");
}

absl::Status Connection::Execute(std::string_view sql) {
  RETURN_IF_ERROR(Usable());
  ASSIGN_OR_RETURN(changes_, link_->Execute(sql));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> Connection::Numbers(std::string_view sql) {
  RETURN_IF_ERROR(Usable());
  return link_->Numbers(sql);
}

absl::StatusOr<std::vector<int64_t>> Connection::RunScript(std::string_view text, int statements) {
  if (!in_transaction_ || !begins_later_) {
    RETURN_IF_ERROR(Usable());
    return link_->RunScript(text, statements);
  }
  RETURN_IF_ERROR(Ready());
  begins_later_ = false;
  return link_->RunScript(base::StrCat(kBegin, ";", text), statements + 1);
}

void Connection::BeginLater() {
  in_transaction_ = true;
  begins_later_ = true;
}

absl::Status Connection::BeginNow(std::string_view isolation, std::string_view how) {
  const auto begin = [&]() -> absl::Status {
    RETURN_IF_ERROR(Ready());
    if (!isolation.empty()) RETURN_IF_ERROR(link_->Execute(isolation).status());
    return link_->Execute(how).status();
  };
  absl::Status status = begin();
  // Nothing has happened yet: a link that died while nobody used it is no news to the caller.
  if (!status.ok() && link_ && link_->lost) status = begin();
  in_transaction_ = status.ok() || begins_later_;
  begins_later_ = begins_later_ && !status.ok();
  return status;
}

absl::Status Connection::Commit() {
  if (begins_later_) return absl::OkStatus();
  if (!link_ || link_->lost) return base::Unavailable("database: the link was lost");
  const absl::StatusOr<int64_t> done = link_->Execute("COMMIT");
  if (done.ok() || IsRetry(done.status())) return done.status();
  // Who knows what this session still holds: the next one begins clean.
  link_->lost = true;
  return base::Error(absl::StatusCode::kUnknown, base::Message(done.status()));
}

void Connection::Rollback() {
  in_transaction_ = false;
  if (std::exchange(begins_later_, false)) return;
  if (!link_ || link_->lost) return;
  if (!link_->Execute("ROLLBACK").ok()) link_->lost = true;
}

absl::StatusOr<Transaction> Transaction::Begin(Connection& connection, Kind kind) {
  if (kind == Kind::kWrite) {
    RETURN_IF_ERROR(connection.Ready());
    connection.BeginLater();
    return Transaction(connection);
  }
  const bool ready = connection.options_.use == Options::Use::kSnapshots;
  RETURN_IF_ERROR(
      connection.BeginNow(ready ? "" : "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                          "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"));
  return Transaction(connection);
}

Transaction::~Transaction() {
  if (connection_ != nullptr) connection_->Rollback();
}

absl::Status Transaction::Commit() {
  absl::Status status = connection_->Commit();
  if (!status.ok()) return status;
  connection_->in_transaction_ = connection_->begins_later_ = false;
  connection_ = nullptr;
  return status;
}

}  // namespace posthorn::mysql
