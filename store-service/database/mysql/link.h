#pragma once

// Private to this folder: one session on one server and its prepared statements. The driver's
// classes are only named here, so that one file alone needs its headers.

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "store-service/database/mysql/connection.h"

namespace sql {
class Connection;
class PreparedStatement;
class ResultSet;
class Statement;
}  // namespace sql

namespace posthorn::mysql {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using Prepared = std::unique_ptr<sql::PreparedStatement>;

struct Connection::Link {
  Link();
  ~Link();

  // What the server says of itself.
  struct Server {
    bool mariadb = false;
    bool galera = false;
    bool group_replication = false;
  };
  // Blocks for the connect time-out.
  absl::Status Open(const Options& options, const Host& host);
  // Fails with kUnavailable when the server must not be used now.
  absl::StatusOr<Server> Inspect();
  absl::Status SetUp(const Options& options);
  // Rows it changed; those a query gave are read and forgotten.
  absl::StatusOr<int64_t> Execute(std::string_view text);
  absl::StatusOr<std::vector<int64_t>> RunScript(std::string_view text, int statements);
  absl::StatusOr<std::vector<uint64_t>> Numbers(std::string_view text);
  // The value in the second column, by the text in the first, of SHOW VARIABLES or SHOW STATUS.
  absl::StatusOr<std::unordered_map<std::string, std::string>> Show(std::string_view text);

  Server server;
  bool lost = false;
  uint64_t number = 0;
  std::unique_ptr<sql::Connection> session;
  std::unique_ptr<sql::Statement> plain;
  // Idle statements by their text. One text has several only while cursors nest.
  std::unordered_map<std::string, std::vector<Prepared>, TextHash, std::equal_to<>> idle;
};

// A thread that uses the driver says so once and takes leave when it ends.
void EnterThread();

}  // namespace posthorn::mysql
