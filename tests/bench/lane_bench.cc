// Deliveries through the lanes into SQLite, and digests out of it, without RPC and blobs.
//   lane_bench [directory] [messages] [vfs: "" or "posthorn"]
// Prints CPU microseconds a message over all threads, messages a second, and digests a second.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/file/sqlite_vfs.h"
#include "lib/testing/run_task.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/mailbox/deliverer.h"

namespace posthorn::store_service {
namespace {

constexpr int kAccounts = 20;
constexpr size_t kDigestBytes = 700;

class AllAccounts final : public Accounts {
 public:
  AccountFacts Facts(AccountId) const override { return {.state = AccountState::kActive}; }
};

class OneDigest final : public DigestSource {
 public:
  std::shared_ptr<const std::string> Recent(uint64_t) const override { return digest_; }
  net::Task<absl::StatusOr<std::shared_ptr<const std::string>>> Get(uint64_t, uint64_t) override {
    co_return digest_;
  }

 private:
  std::shared_ptr<const std::string> digest_ =
      std::make_shared<const std::string>(kDigestBytes, 'd');
};

int64_t CpuMicros() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& t) { return t.tv_sec * int64_t{1000000} + t.tv_usec; };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

v1::DeliverRequest MakeBatch(int size, uint64_t& blob) {
  v1::DeliverRequest request;
  for (int i = 0; i < size; ++i) {
    auto* delivery = request.add_deliveries();
    delivery->set_message_id(std::string(base::MessageId::New().bytes()));
    ++blob;
    delivery->set_account(1 + blob % kAccounts);
    delivery->mutable_blob()->set_key(blob << 12);
    delivery->mutable_blob()->set_size(4096);
    delivery->set_shared_prefix(base::StrCat("Received: ", std::string(250, 'r'), blob, "\r\n"));
    delivery->set_own_prefix(std::string(80, 'o'));
  }
  return request;
}

net::Task<void> DeliverMany(Deliverer& deliverer, int messages, int batch, uint64_t& blob) {
  for (int sent = 0; sent < messages; sent += batch) {
    const v1::DeliverReply reply = co_await deliverer.Deliver(MakeBatch(batch, blob));
    for (const v1::DeliveryResult& result : reply.results()) {
      if (result.outcome() != v1::DeliveryResult::DELIVERED) std::abort();
    }
  }
}

void MeasureDigests(Database& database) {
  const int64_t start = base::MonotonicMicros();
  size_t count = 0;
  size_t bytes = 0;
  for (AccountId account = 1; account <= kAccounts; ++account) {
    auto snapshot = database.OpenSnapshot();
    if (!snapshot.ok()) std::abort();
    const absl::Status status =
        (*snapshot)->ReadDigests(account, 1, {}, [&](const DigestEntry& entry) {
          ++count;
          bytes += entry.digest.size();
          return true;
        });
    if (!status.ok()) std::abort();
  }
  const int64_t took = base::MonotonicMicros() - start;
  std::printf("digests: %zu of %zu bytes, %.0f a second\n", count, bytes,
              static_cast<double>(count) * 1e6 / static_cast<double>(took));
}

int Main(int argc, char** argv) {
  const std::string directory = argc > 1 ? argv[1] : "/tmp";
  const int messages = argc > 2 ? std::atoi(argv[2]) : 20000;
  const std::string vfs = argc > 3 ? argv[3] : "";
  const std::string path = directory + "/lane_bench.db";
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
  if (!vfs.empty() && !file::RegisterSqliteVfs(file::Real(), vfs).ok()) return 1;
  net::Loop loop;
  auto database = OpenSqliteDatabase({.path = path, .vfs = vfs});
  if (!database.ok()) {
    std::fprintf(stderr, "%s\n", database.status().ToString().c_str());
    return 1;
  }
  net::BlockingPool readers(loop, "readers", 2, 1000);
  LaneEngine lanes(loop, **database, readers, {});
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < base::kLanes; ++i) all.push_back(i);
  AllAccounts accounts;
  OneDigest digests;
  Deliverer deliverer(lanes, accounts, digests);
  if (!testing::RunTask(loop, lanes.Acquire(all)).ok()) return 1;
  uint64_t blob = 0;
  testing::RunTask(loop, DeliverMany(deliverer, 200, 8, blob));
  for (const int batch : {1, 5, 8, 16, 64}) {
    const int64_t cpu = CpuMicros();
    const int64_t start = base::MonotonicMicros();
    testing::RunTask(loop, DeliverMany(deliverer, messages, batch, blob));
    const int64_t took = base::MonotonicMicros() - start;
    std::printf("batches of %2d: %.1f CPU us a message, %.0f messages a second, %.2f ms a batch\n",
                batch, static_cast<double>(CpuMicros() - cpu) / messages,
                messages * 1e6 / static_cast<double>(took),
                static_cast<double>(took) * batch / messages / 1000);
  }
  std::printf("log: %ju bytes\n", std::filesystem::file_size(path + "-wal"));
  MeasureDigests(**database);
  MeasureDigests(**database);
  testing::RunTask(loop, lanes.Stop());
  return 0;
}

}  // namespace
}  // namespace posthorn::store_service

int main(int argc, char** argv) { return posthorn::store_service::Main(argc, argv); }
