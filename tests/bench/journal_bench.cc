// What an accepted message costs the queue's journal: files of one machine, and rows of the store's
// database over a unix socket (SQLite; MariaDB with `mariadb` as argument), in interleaved rounds.
// Each message is one durable Put and one Done. CPU is that of queue and store together, which are
// one process here, and of mariadbd.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "delivery-queue/journal/local_journal.h"
#include "delivery-queue/journal/store_journal.h"
#include "lib/base/clock.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"
#include "lib/testing/mariadb.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/queue/queue_journals.h"

namespace posthorn::delivery_queue {
namespace {

namespace sql = store_service::sql;
using std::chrono::milliseconds;

constexpr int kMessages = 20000;
constexpr int kRounds = 5;
constexpr size_t kRecordBytes = 700;

int64_t OwnCpuMicros() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& time) { return time.tv_sec * 1'000'000 + time.tv_usec; };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

int64_t CpuMicrosOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 2)));
  std::string field;
  for (int i = 0; i < 11; ++i) fields >> field;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return (user + system) * 1'000'000 / sysconf(_SC_CLK_TCK);
}

struct Figure {
  double per_second = 0;
  double cpu_us = 0;
};

// So many callers, each with one message at a time.
class Load {
 public:
  Load(net::Loop& loop, Journal& journal, int callers) : loop_(loop), journal_(journal) {
    for (int i = 0; i < callers; ++i) Next();
  }
  net::Task<void> Wait() {
    while (done_ < kMessages) co_await net::Sleep(loop_, milliseconds(1));
  }

 private:
  void Next() {
    if (begun_ == kMessages) return;
    ++begun_;
    const EntryKey key{base::MessageId::New(), 0};
    journal_.PutNew(key, static_cast<uint64_t>(begun_), std::string(kRecordBytes, 'x'),
                    [this, key](const absl::Status& status) { Stored(key, status); });
  }
  void Stored(const EntryKey& key, const absl::Status& status) {
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
    journal_.Done(key, Journal::Urgency::kRides);
    ++done_;
    Next();
  }
  net::Loop& loop_;
  Journal& journal_;
  int begun_ = 0;
  int done_ = 0;
};

Figure Measure(net::Loop& loop, Journal& journal, int callers, pid_t database) {
  const auto cpu = [database] {
    return OwnCpuMicros() + (database > 0 ? CpuMicrosOf(database) : 0);
  };
  const int64_t cpu_before = cpu();
  const int64_t before = base::MonotonicMicros();
  Load load(loop, journal, callers);
  posthorn::testing::RunTask(loop, load.Wait());
  const double seconds = static_cast<double>(base::MonotonicMicros() - before) / 1e6;
  return {kMessages / seconds, static_cast<double>(cpu() - cpu_before) / kMessages};
}

void Print(const char* name, int callers, std::vector<Figure> figures) {
  const auto median = [&](auto field) {
    std::sort(figures.begin(), figures.end(),
              [&](const Figure& a, const Figure& b) { return a.*field < b.*field; });
    return figures[figures.size() / 2].*field;
  };
  const double cpu = median(&Figure::cpu_us);
  const auto [low, high] =
      std::minmax_element(figures.begin(), figures.end(),
                          [](const Figure& a, const Figure& b) { return a.cpu_us < b.cpu_us; });
  std::printf("%-8s %4d callers %8.0f messages/s %7.1f us CPU a message (%.1f to %.1f)\n", name,
              callers, median(&Figure::per_second), cpu, low->cpu_us, high->cpu_us);
}

int Run(bool with_mariadb) {
  posthorn::testing::TempDir directory;
  net::Loop loop;
  std::unique_ptr<posthorn::testing::MariadbServer> mariadb;
  std::unique_ptr<sql::Database> database;
  if (with_mariadb) {
    mariadb = posthorn::testing::MariadbServer::Start();
    if (!mariadb) return 1;
    mysql::Options options;
    options.target = mysql::ParseTarget(mariadb->Url(mariadb->NewDatabase())).value();
    options.password = posthorn::testing::MariadbServer::kPassword;
    database = sql::OpenMysql(options);
  } else {
    database = sql::OpenSqlite({.path = directory.File("queue.db"), .vfs = ""});
  }
  auto journals = store_service::QueueJournals::Open(loop, *database).value();
  const std::string socket = "unix:" + directory.File("store.sock");
  auto server = rpc::Server::Create(
      loop, {.addresses = {{socket, "delivery-queue"}}, .process = "store-service"});
  journals->Register(*server);
  if (!server->Start().ok()) return 1;
  auto client = rpc::Client::Create(loop, {socket});
  auto local = OpenLocalJournal(loop, file::Real(), {directory.File("journal")}).value();
  StoreJournalOptions options{.name = "bench", .instance = std::string(16, 'b')};
  auto store =
      posthorn::testing::RunTask(loop, OpenStoreJournal(loop, *client, std::move(options))).value();
  for (const int callers : {1, 50}) {
    std::map<std::string, std::vector<Figure>> figures;
    for (int round = 0; round < kRounds; ++round) {
      figures["local"].push_back(Measure(loop, *local, callers, 0));
      figures["store"].push_back(Measure(loop, *store, callers, mariadb ? mariadb->pid() : 0));
    }
    for (const auto& [name, all] : figures) Print(name.c_str(), callers, all);
  }
  posthorn::testing::RunTask(loop, store->Close());
  store.reset();
  client.reset();
  server->Stop(milliseconds(0));
  return 0;
}

}  // namespace
}  // namespace posthorn::delivery_queue

int main(int argc, char** argv) {
  return posthorn::delivery_queue::Run(argc > 1 && std::string_view(argv[1]) == "mariadb");
}
