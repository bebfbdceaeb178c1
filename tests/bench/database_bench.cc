// Commits of delivered messages into SQLite and into a MariaDB server of its own, without lanes and
// RPC; then reads. CPU is that of this program and of mariadbd together.
//   database_bench [messages]

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/mysql/mysql_database.h"
#include "store-service/database/sqlite/sqlite_database.h"

namespace posthorn::store_service {
namespace {

constexpr uint32_t kAccounts = 20;
constexpr size_t kDigestBytes = 700;

int64_t OwnMicros() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& t) { return t.tv_sec * int64_t{1000000} + t.tv_usec; };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

// User and system time of another process.
int64_t MicrosOf(pid_t pid) {
  if (pid <= 0) return 0;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  const auto fields = base::Split(std::string_view(text).substr(text.rfind(')') + 2), ' ');
  const auto ticks = base::ParseInt<int64_t>(fields.at(11)).value_or(0) +
                     base::ParseInt<int64_t>(fields.at(12)).value_or(0);
  return ticks * 1000000 / sysconf(_SC_CLK_TCK);
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

// What the lanes write for `size` deliveries.
WriteBatch Deliveries(int size, uint64_t& number) {
  WriteBatch batch;
  for (int i = 0; i < size; ++i) {
    const uint64_t n = ++number;
    const AccountId account = 1 + n % kAccounts;
    const auto uid = static_cast<Uid>(n / kAccounts + 1);
    MessageRow row;
    row.account = account;
    row.mailbox = 1;
    row.columns = {.uid = uid,
                   .modseq = n,
                   .internal_date_ms = base::WallMillis(),
                   .save_date_ms = base::WallMillis(),
                   .size = 4500,
                   .email_id = n,
                   .thread_id = n,
                   .blob_key = n << 12};
    row.own_prefix = std::string(80, 'o');
    row.prefix_hash = n * 77777;
    row.prefix_size = 350;
    row.blob_size = 4096;
    batch.messages.push_back(std::move(row));
    batch.PutBody({n << 12, n * 77777, base::StrCat("Received: ", std::string(250, 'r'), n, "\r\n"),
                   std::string(kDigestBytes, 'd')});
    batch.PutAccount({.account = account, .modseq = n, .next_mailbox = 8, .next_email_id = n});
    batch.PutMailbox({.account = account,
                      .mailbox = 1,
                      .name = "INBOX",
                      .uid_validity = 1,
                      .uid_next = uid + 1,
                      .modseq = n,
                      .messages = uid});
    batch.deliveries.push_back(
        {{account, base::MessageId::New(), 0}, 1, uid, n, 1, base::WallMillis()});
  }
  return batch;
}

struct Measured {
  const char* name;
  Database* database;
  pid_t server;
  Fence fence = {};
  uint64_t number = 0;

  int64_t Cpu() const { return OwnMicros() + MicrosOf(server); }
  void AcquireAll() {
    for (uint32_t lane = 0; lane < base::kLanes; ++lane) {
      auto row = database->AcquireLane(lane, "bench", 3600000);
      Check(row.status());
      if (lane <= kAccounts) fence.push_back({lane, row->epoch, row->batch});
    }
  }
  void Commit(int messages, int size) {
    for (int sent = 0; sent < messages; sent += size) {
      const WriteBatch batch = Deliveries(size, number);
      Fence own;
      for (FencedLane& lane : fence) {
        ++lane.batch;
        for (const auto& [account, row] : batch.accounts()) {
          if (base::LaneOf(account) == lane.lane) own.push_back(lane);
        }
      }
      Check(database->Commit(own, batch));
    }
  }
};

void MeasureCommits(Measured& m, int messages) {
  for (const int size : {1, 16, 64}) {
    const int count = size == 1 ? messages / 4 : messages;
    const int64_t cpu = m.Cpu();
    const int64_t start = base::MonotonicMicros();
    m.Commit(count, size);
    const int64_t took = base::MonotonicMicros() - start;
    std::printf("%-7s batches of %2d: %6.1f CPU us a message, %6.0f messages a second, %.2f ms\n",
                m.name, size, static_cast<double>(m.Cpu() - cpu) / count,
                count * 1e6 / static_cast<double>(took),
                static_cast<double>(took) * size / count / 1000);
  }
}

void MeasureReads(Measured& m) {
  const int64_t cpu = m.Cpu();
  size_t rows = 0;
  for (AccountId account = 1; account <= kAccounts; ++account) {
    auto snapshot = m.database->OpenSnapshot();
    Check(snapshot.status());
    Check((*snapshot)->ReadColumns(account, 1, 0, [&](const MessageColumns&) { ++rows; }));
  }
  std::printf("%-7s columns: %.2f CPU us a row\n", m.name,
              static_cast<double>(m.Cpu() - cpu) / static_cast<double>(rows));
  const int64_t before = m.Cpu();
  constexpr int kFinds = 5000;
  for (Uid uid = 1; uid <= kFinds; ++uid) {
    auto snapshot = m.database->OpenSnapshot();
    Check(snapshot.status());
    Check((*snapshot)->FindPlace(1 + uid % kAccounts, 1, 1 + uid / kAccounts).status());
  }
  std::printf("%-7s one message found: %.1f CPU us\n", m.name,
              static_cast<double>(m.Cpu() - before) / kFinds);
}

int Main(int argc, char** argv) {
  const int messages = argc > 1 ? std::atoi(argv[1]) : 20000;
  const testing::TempDir directory;
  auto sqlite = OpenSqliteDatabase({.path = directory.File("mail.db")});
  Check(sqlite.status());
  auto server = testing::MariadbServer::Start({"--innodb-buffer-pool-size=256M"});
  if (!server) return 1;
  MysqlDatabaseOptions options;
  options.connection.target = *mysql::ParseTarget(server->Url(server->NewDatabase()));
  options.connection.password = testing::MariadbServer::kPassword;
  auto mariadb = OpenMysqlDatabase(options);
  Check(mariadb.status());
  Measured engines[] = {{"sqlite", sqlite->get(), -1}, {"mariadb", mariadb->get(), server->pid()}};
  for (Measured& engine : engines) {
    engine.AcquireAll();
    engine.Commit(640, 64);
    MeasureCommits(engine, messages);
    MeasureReads(engine);
  }
  return 0;
}

}  // namespace
}  // namespace posthorn::store_service

int main(int argc, char** argv) { return posthorn::store_service::Main(argc, argv); }
