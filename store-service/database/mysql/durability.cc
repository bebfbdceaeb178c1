// Settings of the server with which it acknowledges what it could lose.

#include "lib/base/strings.h"
#include "store-service/database/mysql/link.h"

namespace posthorn::mysql {
namespace {

constexpr char kSettings[] =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit','sync_binlog',"
    "'log_bin','innodb_doublewrite','innodb_use_atomic_writes','innodb_flush_method',"
    "'max_allowed_packet','binlog_format')";
constexpr char kCluster[] =
    "SHOW STATUS WHERE Variable_name IN ('wsrep_cluster_size','wsrep_cluster_status')";
constexpr int64_t kLeastPacket = int64_t{16} << 20;

using Settings = std::unordered_map<std::string, std::string>;

std::vector<std::string> Findings(Settings settings, const std::string& host) {
  std::vector<std::string> found;
  const auto say = [&](std::string_view text) { found.push_back(base::StrCat(host, ": ", text)); };
  const auto number = [&](const char* name) {
    return base::ParseInt<int64_t>(settings[name]).value_or(-1);
  };
  if (number("innodb_flush_log_at_trx_commit") != 1) {
    say(base::StrCat("innodb_flush_log_at_trx_commit=", settings["innodb_flush_log_at_trx_commit"],
                     ": a crash loses mail that was acknowledged; set it to 1"));
  }
  if (settings["log_bin"] == "ON" && number("sync_binlog") != 1) {
    say(base::StrCat("sync_binlog=", settings["sync_binlog"],
                     " with a binary log: after a crash replicas and backups may lack mail that was"
                     " acknowledged; set it to 1"));
  }
  if (settings["innodb_doublewrite"] == "OFF" && settings["innodb_use_atomic_writes"] != "ON") {
    say("innodb_doublewrite=OFF: a power failure in the middle of a page loses the page");
  }
  if (settings["innodb_flush_method"] == "nosync") {
    say("innodb_flush_method=nosync: nothing is ever flushed");
  }
  if (settings["log_bin"] == "ON" && settings["binlog_format"] != "ROW") {
    say(base::StrCat("binlog_format=", settings["binlog_format"], ": it must be ROW"));
  }
  if (number("max_allowed_packet") < kLeastPacket) {
    say(base::StrCat("max_allowed_packet=", settings["max_allowed_packet"],
                     ": large replies and digests need 16M at least"));
  }
  return found;
}

}  // namespace

absl::StatusOr<std::string> Connection::Engine() {
  RETURN_IF_ERROR(Ready());
  ASSIGN_OR_RETURN(Settings version, link_->Show("SHOW VARIABLES LIKE 'version'"));
  // "10.11.6-MariaDB-0+deb12u1": the number is enough.
  const std::string& full = version["version"];
  std::string engine =
      base::StrCat(is_mariadb() ? "MariaDB " : "MySQL ", full.substr(0, full.find('-')));
  if (!is_galera()) return engine;
  ASSIGN_OR_RETURN(Settings cluster, link_->Show(kCluster));
  return base::StrCat(engine, " (Galera, ", cluster["wsrep_cluster_size"], " nodes)");
}

absl::StatusOr<std::vector<std::string>> Connection::DurabilityWarnings() {
  RETURN_IF_ERROR(Ready());
  ASSIGN_OR_RETURN(Settings settings, link_->Show(kSettings));
  std::vector<std::string> found = Findings(std::move(settings), ToString(host()));
  if (!is_galera()) return found;
  ASSIGN_OR_RETURN(Settings cluster, link_->Show(kCluster));
  const int64_t nodes = base::ParseInt<int64_t>(cluster["wsrep_cluster_size"]).value_or(0);
  if (nodes < 3) {
    found.push_back(base::StrCat("Galera: ", nodes, " of the nodes are together; with fewer than ",
                                 "three the loss of one more may stop the cluster"));
  }
  return found;
}

}  // namespace posthorn::mysql
