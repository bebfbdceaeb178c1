#include "admin-service/cli/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::cli {
namespace {

using admin::v1::ProcessStatus;
using admin::v1::StatusReply;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ProcessStatus Process(std::string process, std::string name) {
  ProcessStatus out;
  out.set_process(std::move(process));
  out.set_name(std::move(name));
  out.set_alive(true);
  out.set_ready(true);
  out.set_version("0.2.0");
  out.set_config_revision(12);
  return out;
}

void ExpectNarrow(const std::string& text) {
  for (const std::string_view line : base::Split(text, '\n')) {
    const auto columns =
        std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_LE(columns, 100) << line;
  }
}

StatusReply OneMachine() {
  StatusReply reply;
  *reply.add_processes() = Process("admin-service", "mx");
  reply.mutable_processes(0)->set_address("127.0.0.1:9080");
  *reply.add_processes() = Process("smtp-gateway", "mx");
  reply.set_revision(12);
  reply.set_accounts(1);
  reply.set_messages(2);
  reply.set_store_bytes(3670016);
  auto& store = *reply.mutable_store();
  store.set_lanes(32);
  store.add_replicas()->set_lanes(32);
  store.mutable_replicas(0)->set_alive(true);
  store.mutable_database()->set_engine("SQLite 3.40.1");
  store.mutable_database()->set_place("/data/mail.db");
  store.mutable_blobs()->set_kind("folder");
  store.mutable_blobs()->set_place("/data/blobs");
  store.mutable_blobs()->set_free_bytes(uint64_t{65} << 30);
  store.mutable_blobs()->set_size_bytes(uint64_t{252} << 30);
  store.set_segments(1);
  store.set_segment_bytes(2048);
  auto& queue = *reply.add_queues();
  queue.set_replica("mx");
  queue.set_journal("folder");
  auto& certificate = *reply.add_certificates();
  certificate.set_name("default");
  certificate.set_seconds_left(int64_t{361} * 86400);
  return reply;
}

TEST(StatusText, OneMachineThatIsWell) {
  EXPECT_EQ(StatusText(OneMachine()),
            "everything works\n"
            "\n"
            "PROCESS        NAME  STATE  VERSION  CONFIG  ADDRESS\n"
            "admin-service  mx    ready  0.2.0    12      127.0.0.1:9080\n"
            "smtp-gateway   mx    ready  0.2.0    12\n"
            "lanes          32 of 32 in the only store\n"
            "\n"
            "QUEUE  JOURNAL  WAITING\n"
            "mx     folder   0\n"
            "\n"
            "database       SQLite 3.40.1, /data/mail.db\n"
            "message files  folder /data/blobs\n"
            "               65.0 GiB of 252.0 GiB free, 2.0 KiB in 1 segment\n"
            "mail           1 account, 2 messages, 3.5 MiB\n"
            "certificates   default 361 days\n"
            "configuration revision 12\n");
}

StatusReply Cluster() {
  StatusReply reply = OneMachine();
  reply.clear_queues();
  reply.add_problems(
      "the store store-1 at posthorn-store-1.posthorn-store:7001 has said nothing "
      "for 12 s, and this sentence goes on and on until it is too long for a line");
  reply.add_problems("16 of 32 lanes have no store: their accounts' mail waits");
  ProcessStatus& store = *reply.add_processes();
  store = Process("store-service", "posthorn-store-service-replica-with-a-long-name-0");
  store.set_address("posthorn-store-0.posthorn-store.mail.svc.cluster.local:7001");
  store.set_certificate_seconds(int64_t{40} * 86400);
  store.add_lags()->set_behind_ms(140);
  ProcessStatus& dead = *reply.add_processes();
  dead = Process("store-service", "store-1");
  dead.set_alive(false);
  dead.set_silent_ms(12'300);
  ProcessStatus& draining = *reply.add_processes();
  draining = Process("imap-gateway", "i-1");
  draining.set_draining(true);
  ProcessStatus& starting = *reply.add_processes();
  starting = Process("imap-gateway", "i-2");
  starting.set_ready(false);
  reply.add_processes()->set_process("spam-service");
  auto& rows = *reply.mutable_store();
  rows.clear_replicas();
  for (const char* name : {"store-0", "store-1"}) {
    auto& replica = *rows.add_replicas();
    replica.set_name(name);
    replica.set_address(
        base::StrCat("posthorn-", name, ".posthorn-store.mail.svc.cluster.local:7001"));
    replica.set_lanes(16);
    replica.set_alive(name == std::string_view("store-0"));
    replica.set_silent_ms(replica.alive() ? 400 : 12'300);
    replica.set_lease_left_ms(replica.alive() ? 5'230 : -6'300);
  }
  rows.add_ownerless(3);
  rows.add_ownerless(5);
  rows.mutable_database()->set_engine("MariaDB 10.11.6 (Galera, 3 nodes)");
  rows.mutable_database()->set_place("posthorn@db-0:3306,db-1:3306,db-2:3306/posthorn");
  rows.mutable_database()->set_node("db-1:3306");
  rows.mutable_blobs()->set_kind("bucket");
  rows.mutable_blobs()->set_place("s3://mail/ at http://s3");
  rows.mutable_blobs()->clear_free_bytes();
  rows.mutable_blobs()->set_unreachable("403");
  auto& queue = *reply.add_queues();
  queue.set_replica("queue-0");
  queue.set_journal("store");
  queue.set_entries(12);
  queue.set_oldest_seconds(180);
  queue.set_held(2);
  queue.set_lease_left_ms(88'000);
  auto& journal = *rows.add_queue_journals();
  journal.set_owner("queue-1");
  journal.set_entries(7);
  journal.set_lease_left_ms(20'000);
  auto& known = *rows.add_queue_journals();
  known.set_owner("queue-0");
  known.set_entries(12);
  return reply;
}

TEST(StatusText, SaysWhatIsWrongFirstAndInWords) {
  const std::string text = StatusText(Cluster());
  EXPECT_THAT(text, StartsWith("2 things are wrong:\n"
                               "  - the store store-1 at posthorn-store-1.posthorn-store:7001 has "
                               "said nothing for 12 s, and this\n"
                               "    sentence goes on"));
  EXPECT_THAT(text, HasSubstr("\n  - 16 of 32 lanes have no store: their accounts' mail waits\n"));
  EXPECT_THAT(text, Not(HasSubstr("everything works")));
}

TEST(StatusText, StaysWithinAHundredColumns) {
  ExpectNarrow(StatusText(Cluster()));
  ExpectNarrow(StatusText(OneMachine()));
}

TEST(StatusText, ShowsEachProcessAsItIs) {
  const std::string text = StatusText(Cluster());
  EXPECT_THAT(text, HasSubstr("store-service  posthorn-"));
  EXPECT_THAT(text, HasSubstr("140 ms  40 days"));
  EXPECT_THAT(text, HasSubstr("local:7001"));
  EXPECT_THAT(text, HasSubstr("SILENT 12 s"));
  EXPECT_THAT(text, HasSubstr("draining"));
  EXPECT_THAT(text, HasSubstr("NOT READY"));
  EXPECT_THAT(text, HasSubstr("MISSING"));
}

TEST(StatusText, ShowsLanesLeasesQueuesAndStorage) {
  const std::string text = StatusText(Cluster());
  EXPECT_THAT(text, HasSubstr("store-0  serving  16 of 32  5.2 s       400 ms"));
  EXPECT_THAT(text, HasSubstr("store-1  SILENT   16 of 32  -6.3 s      12 s"));
  EXPECT_THAT(text, HasSubstr("lanes without a store: 3 5\n"));
  EXPECT_THAT(text, HasSubstr("QUEUE    JOURNAL  WAITING  OLDEST  HELD  LEASE LEFT\n"
                              "queue-0  store    12       3 min   2     88 s\n"));
  EXPECT_THAT(text, HasSubstr("JOURNAL OF  WAITING  LEASE LEFT\nqueue-1     7        20 s\n"));
  EXPECT_THAT(text, HasSubstr("database       MariaDB 10.11.6 (Galera, 3 nodes), posthorn@db-0"));
  EXPECT_THAT(text, HasSubstr("writes go to db-1:3306"));
  EXPECT_THAT(text, HasSubstr("message files  bucket s3://mail/ at http://s3\n"
                              "               NOT REACHED, 2.0 KiB in 1 segment\n"));
}

TEST(StatusText, WhoStartsIsShownAndNothingIsWrong) {
  StatusReply reply = OneMachine();
  reply.mutable_processes(1)->set_ready(false);
  reply.mutable_processes(1)->set_starting(true);
  const std::string text = StatusText(reply);
  EXPECT_THAT(text, StartsWith("nothing is wrong; 1 process is starting\n"));
  EXPECT_THAT(text, HasSubstr("smtp-gateway   mx    starting  0.2.0"));
}

TEST(StatusText, WithoutAStoreTheRestIsShown) {
  StatusReply reply = OneMachine();
  reply.clear_store();
  reply.add_problems("no store-service answers: refused");
  const std::string text = StatusText(reply);
  EXPECT_THAT(text, StartsWith("1 thing is wrong:\n  - no store-service answers: refused\n"));
  EXPECT_THAT(text, Not(HasSubstr("database")));
  EXPECT_THAT(text, HasSubstr("admin-service  mx"));
}

}  // namespace
}  // namespace posthorn::cli
