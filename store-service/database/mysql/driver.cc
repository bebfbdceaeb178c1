// What speaks to MySQL Connector/C++: sessions, statements, result sets. The driver throws; nothing
// leaves this file as an exception.

#include <cppconn/connection.h>
#include <cppconn/driver.h>
#include <cppconn/exception.h>
#include <cppconn/prepared_statement.h>
#include <cppconn/resultset.h>
#include <cppconn/statement.h>
#include <mysql_driver.h>

#include <cstring>
#include <exception>
#include <variant>

#include "lib/base/strings.h"
#include "store-service/database/mysql/error.h"
#include "store-service/database/mysql/link.h"

namespace posthorn::mysql {
namespace {

sql::mysql::MySQL_Driver& Driver() {
  static sql::mysql::MySQL_Driver* const driver = sql::mysql::get_driver_instance();
  return *driver;
}

struct ThreadOfDriver {
  ThreadOfDriver() { Driver().threadInit(); }
  ~ThreadOfDriver() { Driver().threadEnd(); }
};

// The value of `call`, or its exception as a status. `lost` is set when the link is gone.
template <class F>
auto Guarded(bool& lost, F call) -> absl::StatusOr<decltype(call())> {
  try {
    return call();
  } catch (const sql::SQLException& e) {
    lost = lost || IsLinkLost(e.getErrorCode());
    return ToStatus(e.getErrorCode(), e.what());
  } catch (const std::exception& e) {
    return base::Internal(base::StrCat("database driver: ", e.what()));
  }
}

bool YieldsRows(std::string_view sql) {
  for (const std::string_view word : {"SELECT", "SHOW", "WITH", "EXPLAIN"}) {
    if (base::StartsWithIgnoreCase(sql, word)) return true;
  }
  return false;
}

sql::SQLString Sql(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void EnterThread() {
  static thread_local ThreadOfDriver here;
  (void)here;
}

Connection::Link::Link() = default;
Connection::Link::~Link() {
  // Statements before the session they belong to; closing talks to a server that may be away.
  bool ignored = false;
  (void)Guarded(ignored, [this] {
    idle.clear();
    plain.reset();
    session.reset();
    return 0;
  });
}

absl::Status Connection::Link::Open(const Options& options, const Host& host) {
  return Guarded(lost,
                 [&] {
                   sql::ConnectOptionsMap map;
                   // "tcp://": otherwise "localhost" would mean a unix socket.
                   map["hostName"] = Sql(base::StrCat("tcp://", ToString(host)));
                   map["userName"] = Sql(options.target.user);
                   map["password"] = Sql(options.password);
                   map["schema"] = Sql(options.target.database);
                   map["OPT_CHARSET_NAME"] = sql::SQLString("utf8mb4");
                   map["OPT_CONNECT_TIMEOUT"] = options.connect_timeout_s;
                   map["OPT_READ_TIMEOUT"] = options.io_timeout_s;
                   map["OPT_WRITE_TIMEOUT"] = options.io_timeout_s;
                   // An UPDATE that finds the row is not told apart by whether the values were
                   // equal already.
                   map["CLIENT_FOUND_ROWS"] = true;
                   if (options.scripts == Options::Scripts::kYes)
                     map["CLIENT_MULTI_STATEMENTS"] = true;
                   if (!options.ca_file.empty()) {
                     map["sslCA"] = Sql(options.ca_file);
                     map["sslEnforce"] = true;
                     map["sslVerify"] = true;
                   }
                   session.reset(Driver().connect(map));
                   return 0;
                 })
      .status();
}

absl::StatusOr<int64_t> Connection::Link::Execute(std::string_view text) {
  return Guarded(lost, [&]() -> int64_t {
    if (!plain) plain.reset(session->createStatement());
    if (!YieldsRows(text)) return plain->executeUpdate(Sql(text));
    const std::unique_ptr<sql::ResultSet> rows(plain->executeQuery(Sql(text)));
    return 0;
  });
}

absl::StatusOr<std::vector<int64_t>> Connection::Link::RunScript(std::string_view text,
                                                                 int statements) {
  absl::StatusOr<std::vector<int64_t>> values = Guarded(lost, [&] {
    if (!plain) plain.reset(session->createStatement());
    bool rows = plain->execute(Sql(text));
    for (int i = 1; i < statements; ++i) rows = plain->getMoreResults();
    std::vector<int64_t> found;
    if (!rows) return found;
    const std::unique_ptr<sql::ResultSet> last(plain->getResultSet());
    const uint32_t columns = last->getMetaData()->getColumnCount();
    while (last->next()) {
      for (uint32_t i = 1; i <= columns; ++i) found.push_back(last->getInt64(i));
    }
    return found;
  });
  // A statement that failed leaves the driver with an answer half read in its hands.
  if (!values.ok()) plain.reset();
  return values;
}

absl::StatusOr<std::vector<uint64_t>> Connection::Link::Numbers(std::string_view text) {
  return Guarded(lost, [&] {
    if (!plain) plain.reset(session->createStatement());
    const std::unique_ptr<sql::ResultSet> rows(plain->executeQuery(Sql(text)));
    const uint32_t columns = rows->getMetaData()->getColumnCount();
    std::vector<uint64_t> values;
    while (rows->next()) {
      // Its getUInt64 stops at 2^63 - 1 for what came as text.
      for (uint32_t i = 1; i <= columns; ++i) {
        values.push_back(
            base::ParseInt<uint64_t>(std::string_view(rows->getString(i).asStdString()))
                .value_or(0));
      }
    }
    return values;
  });
}

absl::StatusOr<std::unordered_map<std::string, std::string>> Connection::Link::Show(
    std::string_view text) {
  return Guarded(lost, [&] {
    if (!plain) plain.reset(session->createStatement());
    const std::unique_ptr<sql::ResultSet> rows(plain->executeQuery(Sql(text)));
    std::unordered_map<std::string, std::string> values;
    while (rows->next()) values[rows->getString(1)] = std::string(rows->getString(2));
    return values;
  });
}

struct Cursor::Running {
  using Value = std::variant<std::nullptr_t, int64_t, uint64_t, double, std::string>;
  std::string sql;
  std::vector<Value> arguments;
  Prepared statement;
  uint64_t link = 0;  // that the statement belongs to
  std::unique_ptr<sql::ResultSet> rows;
  mutable std::vector<sql::SQLString> texts;
  bool executed = false;

  void BindAll() {
    for (unsigned i = 0; i < arguments.size(); ++i) BindOne(i + 1, arguments[i]);
  }
  void BindOne(unsigned index, const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
      statement->setString(index, Sql(*text));
    } else if (const auto* number = std::get_if<int64_t>(&value)) {
      statement->setInt64(index, *number);
    } else if (const auto* bits = std::get_if<uint64_t>(&value)) {
      statement->setUInt64(index, *bits);
    } else if (const auto* real = std::get_if<double>(&value)) {
      statement->setDouble(index, *real);
    } else {
      statement->setNull(index, 0);
    }
  }
};

Cursor::Cursor(Connection& connection, std::string_view sql)
    : connection_(&connection), running_(std::make_unique<Running>()) {
  running_->sql = sql;
}

Cursor::Cursor(Cursor&& other) noexcept = default;

Cursor::~Cursor() {
  if (!running_ || !running_->statement) return;
  Connection::Link* const link = connection_->link_.get();
  bool ignored = false;
  const auto closed = Guarded(ignored, [this] {
    running_->rows.reset();
    return 0;
  });
  if (!closed.ok() || link == nullptr || link->lost || link->number != running_->link) return;
  const auto found = link->idle.find(running_->sql);
  auto& idle = found != link->idle.end() ? found->second : link->idle[running_->sql];
  idle.push_back(std::move(running_->statement));
}

void Cursor::Bind(int index, std::nullptr_t) {
  if (running_->arguments.size() < static_cast<size_t>(index)) {
    running_->arguments.resize(static_cast<size_t>(index));
  }
  running_->arguments[static_cast<size_t>(index) - 1] = nullptr;
}

void Cursor::Bind(int index, std::string_view text) {
  Bind(index, nullptr);
  running_->arguments[static_cast<size_t>(index) - 1] = std::string(text);
}

void Cursor::Bind(int index, double value) {
  Bind(index, nullptr);
  running_->arguments[static_cast<size_t>(index) - 1] = value;
}

void Cursor::BindSigned(int index, int64_t value) {
  Bind(index, nullptr);
  running_->arguments[static_cast<size_t>(index) - 1] = value;
}

void Cursor::BindUnsigned(int index, uint64_t value) {
  Bind(index, nullptr);
  running_->arguments[static_cast<size_t>(index) - 1] = value;
}

absl::Status Cursor::Execute() {
  Connection::Link& link = *connection_->link_;
  const absl::StatusOr<int64_t> changed = Guarded(link.lost, [&]() -> int64_t {
    Running& run = *running_;
    run.rows.reset();
    const auto found = link.idle.find(run.sql);
    if (found != link.idle.end() && !found->second.empty()) {
      run.statement = std::move(found->second.back());
      found->second.pop_back();
    } else {
      run.statement.reset(link.session->prepareStatement(Sql(run.sql)));
    }
    run.link = link.number;
    run.BindAll();
    if (!YieldsRows(run.sql)) return run.statement->executeUpdate();
    run.rows.reset(run.statement->executeQuery());
    return 0;
  });
  if (changed.ok()) {
    connection_->changes_ = *changed;
  } else if (running_->statement) {
    bool ignored = false;
    (void)Guarded(ignored, [this] {
      running_->statement.reset();
      return 0;
    });
  }
  return changed.status();
}

absl::StatusOr<bool> Cursor::Next() {
  EnterThread();
  Running& run = *running_;
  if (!run.executed) {
    run.executed = true;
    RETURN_IF_ERROR(connection_->RunStatement(*this, run.sql));
  }
  if (!run.rows) return false;
  run.texts.clear();
  return Guarded(connection_->link_->lost, [&] { return run.rows->next(); });
}

int64_t Cursor::Int(int column) const {
  bool ignored = false;
  return Guarded(ignored,
                 [&] { return running_->rows->getInt64(static_cast<uint32_t>(column) + 1); })
      .value_or(0);
}

uint64_t Cursor::Unsigned(int column) const {
  bool ignored = false;
  return Guarded(ignored,
                 [&] { return running_->rows->getUInt64(static_cast<uint32_t>(column) + 1); })
      .value_or(0);
}

double Cursor::Real(int column) const {
  bool ignored = false;
  return Guarded(ignored,
                 [&]() -> double {
                   return static_cast<double>(
                       running_->rows->getDouble(static_cast<uint32_t>(column) + 1));
                 })
      .value_or(0);
}

std::string_view Cursor::Text(int column) const {
  const auto index = static_cast<size_t>(column);
  std::vector<sql::SQLString>& texts = running_->texts;
  // A deque would do without this, but rows are narrow: places never move after the first Text().
  if (texts.size() <= index) texts.reserve(64);
  while (texts.size() <= index) texts.emplace_back();
  bool ignored = false;
  (void)Guarded(ignored, [&] {
    texts[index] = running_->rows->getString(static_cast<uint32_t>(column) + 1);
    return 0;
  });
  return {texts[index]->data(), texts[index]->size()};
}

bool Cursor::IsNull(int column) const {
  bool ignored = false;
  return Guarded(ignored, [&] { return running_->rows->isNull(static_cast<uint32_t>(column) + 1); })
      .value_or(true);
}

}  // namespace posthorn::mysql
