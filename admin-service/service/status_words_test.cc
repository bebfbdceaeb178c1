#include "admin-service/service/status_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::admin_service {
namespace {

using admin::v1::ProcessReport;
using admin::v1::StatusReply;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

ProcessReport Report(std::string process, std::string name, std::string instance = "1") {
  ProcessReport report;
  report.set_process(std::move(process));
  report.set_name(std::move(name));
  report.set_instance(report.name() + "/" + instance);
  report.set_version("0.2.0");
  report.set_address("10.0.0.1:9100");
  report.set_config_revision(7);
  return report;
}
constexpr ConfigurationHead kHead{7, 60'000};
constexpr int64_t kLong = 60'000;

// As one that has run for `ms` and was never ready.
ProcessReport Starting(ProcessReport report, uint64_t ms) {
  report.set_missing("waiting for configuration");
  report.set_config_revision(0);
  report.set_starting_ms(ms);
  return report;
}

TEST(StatusWords, AProcessThatIsWellHasARowAndNoSentence) {
  StatusReply reply;
  ProcessReport report = Report("imap-gateway", "i-1");
  report.set_certificate_seconds(100 * 86400);
  report.add_lags()->set_behind_ms(kLagMs);
  AddHeard({{report, 1500}}, kHead, reply);
  AddMissing({"imap-gateway"}, kLong, reply);
  AddVersions(reply);
  ASSERT_EQ(reply.processes_size(), 1);
  EXPECT_EQ(WhoIs(reply.processes(0)), "imap-gateway i-1");
  EXPECT_TRUE(reply.processes(0).alive());
  EXPECT_TRUE(reply.processes(0).ready());
  EXPECT_EQ(reply.processes(0).silent_ms(), 1500u);
  EXPECT_EQ(reply.processes(0).certificate_seconds(), 100 * 86400 - 1);
  EXPECT_THAT(reply.problems(), IsEmpty());
}

TEST(StatusWords, WhoIsSilentIsNamedAndNothingElseIsSaidOfIt) {
  StatusReply reply;
  ProcessReport report = Report("imap-gateway", "i-1");
  report.set_missing("store-service");
  report.add_problems("old news");
  AddHeard({{report, 12'345}}, kHead, reply);
  EXPECT_FALSE(reply.processes(0).alive());
  EXPECT_THAT(reply.problems(),
              ElementsAre("imap-gateway i-1 (10.0.0.1:9100) has said nothing for 12 s"));
}

TEST(StatusWords, ASilentStoreIsNamedOnceInTheStoresWords) {
  StatusReply reply;
  store::v1::StoreStatusReply store;
  store.add_problems("the store s-1 at a:7001 has said nothing for 9 s");
  store.add_replicas()->set_name("s-1");
  AddStore(store, reply);
  AddHeard({{Report("store-service", "s-1"), 9'000}}, kHead, reply);
  EXPECT_THAT(reply.problems(), ElementsAre("the store s-1 at a:7001 has said nothing for 9 s"));
}

TEST(StatusWords, WhatAProcessLacksAndSaysIsSaid) {
  StatusReply reply;
  ProcessReport report = Report("store-service", "s-1");
  report.set_missing("the database");
  report.add_problems("the disk of /data is nearly full: 2 % (300 MiB) left");
  ProcessReport::Lag& lag = *report.add_lags();
  lag.set_of("directory");
  lag.set_behind_ms(8'100);
  AddHeard({{report, 0}}, kHead, reply);
  EXPECT_THAT(reply.problems(),
              ElementsAre("store-service s-1 is not ready: the database",
                          "store-service s-1: the disk of /data is nearly full: 2 % (300 MiB) left",
                          "store-service s-1: its directory is 8 s behind"));
}

TEST(StatusWords, WhoDrainsIsNotReadyOnPurpose) {
  StatusReply reply;
  ProcessReport report = Report("imap-gateway", "i-1");
  report.set_draining(true);
  report.set_missing("stopping");
  AddHeard({{report, 0}}, kHead, reply);
  EXPECT_TRUE(reply.processes(0).draining());
  EXPECT_THAT(reply.problems(), IsEmpty());
}

TEST(StatusWords, WhoStartsIsNotReadyForAWhileAndNothingIsWrong) {
  StatusReply reply;
  AddHeard({{Starting(Report("delivery-queue", "q-1"), kStartingMs), 0}}, kHead, reply);
  AddQueue(base::Unavailable("refused"), "10.0.0.1:7002", reply);
  AddMissing({"spam-service"}, kSilentMs, reply);
  EXPECT_TRUE(reply.processes(0).starting());
  EXPECT_TRUE(reply.processes(1).starting()) << "admin-service itself began a moment ago";
  EXPECT_THAT(reply.problems(), IsEmpty());
}

TEST(StatusWords, WhoStartsForTooLongOrAgainAfterACrashIsNotReady) {
  StatusReply reply;
  AddHeard({{Starting(Report("smtp-gateway", "m-1"), kStartingMs + 1), 0},
            {Starting(Report("smtp-gateway", "m-2"), 100), 0, true}},
           {7, 0}, reply);
  AddMissing({"spam-service"}, kSilentMs + 1, reply);
  EXPECT_THAT(reply.problems(),
              ElementsAre("smtp-gateway m-1 is not ready: waiting for configuration",
                          "smtp-gateway m-2 is not ready: waiting for configuration",
                          "no spam-service is running, or it cannot reach admin-service"));
}

TEST(StatusWords, AnOldRevisionIsNamedOnceTheNewOneHasBeenThereForAWhile) {
  ProcessReport report = Report("smtp-gateway", "m-1");
  report.set_config_revision(5);
  StatusReply at_once;
  AddHeard({{report, 0}}, {7, kNewRevisionMs}, at_once);
  EXPECT_THAT(at_once.problems(), IsEmpty());
  StatusReply later;
  AddHeard({{report, 0}}, {7, kNewRevisionMs + 1}, later);
  EXPECT_THAT(later.problems(),
              ElementsAre("smtp-gateway m-1 uses configuration revision 5, the newest is 7"));
}

TEST(StatusWords, CertificatesThatEndAreNamed) {
  StatusReply reply;
  ProcessReport report = Report("pop3-gateway", "p-1");
  for (const int64_t seconds :
       {int64_t{15} * 86400, int64_t{9} * 86400 + 5, int64_t{7200}, int64_t{0}}) {
    report.set_certificate_seconds(seconds);
    AddHeard({{report, 0}}, kHead, reply);
  }
  AddCertificate("default", int64_t{20} * 86400, reply);
  AddCertificate("mx", int64_t{3} * 86400, reply);
  EXPECT_THAT(
      reply.problems(),
      ElementsAre("pop3-gateway p-1: the certificate it shows other processes expires in 9 days",
                  "pop3-gateway p-1: the certificate it shows other processes expires in 2 hours",
                  "pop3-gateway p-1: the certificate it shows other processes has expired",
                  "the certificate \"mx\" that clients see expires in 3 days"));
  EXPECT_EQ(reply.certificates_size(), 2);
}

TEST(StatusWords, KindsOfWhichNobodyIsHeardAreNamed) {
  StatusReply reply;
  AddHeard({{Report("imap-gateway", "i-1"), 0}}, kHead, reply);
  AddMissing({"imap-gateway", "spam-service"}, kLong, reply);
  EXPECT_EQ(reply.processes_size(), 2);
  EXPECT_THAT(reply.problems(),
              ElementsAre("no spam-service is running, or it cannot reach admin-service"));
}

TEST(StatusWords, TwoReleasesSideBySideAreAnUpgradeThatIsNotFinished) {
  StatusReply reply;
  std::vector<Reports::Heard> heard;
  for (const char* name : {"a", "b", "c", "d"}) heard.push_back({Report("imap-gateway", name), 0});
  heard.push_back({Report("smtp-gateway", "m"), 0});
  heard.back().report.set_version("0.1.0");
  heard.push_back({Report("smtp-gateway", "dead"), 60'000});
  heard.back().report.set_version("0.0.9");
  AddHeard(heard, kHead, reply);
  reply.clear_problems();
  AddVersions(reply);
  EXPECT_THAT(reply.problems(),
              ElementsAre("an upgrade is not finished: 0.1.0 (smtp-gateway m) and 0.2.0 "
                          "(4 processes) run side by side"));
}

TEST(StatusWords, AStoreThatDoesNotAnswerIsSaid) {
  StatusReply reply;
  AddStore(base::Unavailable("connection refused"), reply);
  EXPECT_FALSE(reply.has_store());
  EXPECT_THAT(reply.problems(), ElementsAre("no store-service answers: connection refused"));
}

TEST(StatusWords, QueuesAreAddedUpAndTheirTroublesNamed) {
  StatusReply reply;
  queue::v1::QueueStatusReply one;
  one.set_replica("q-1");
  one.set_entries(3);
  one.set_oldest_seconds(5 * 3600);
  one.set_held(1);
  queue::v1::QueueStatusReply two;
  two.set_replica("q-2");
  two.set_entries(4);
  two.add_problems("the journal's folder is read-only");
  AddQueue(one, "10.0.0.1:7002", reply);
  AddQueue(two, "10.0.0.2:7002", reply);
  AddQueue(base::Unavailable("gone"), "10.0.0.3:7002", reply);
  AddQueue(base::Unavailable("gone"), "unix:/run/sock", reply);
  auto& journal = *reply.mutable_store()->add_queue_journals();
  journal.set_owner("q-3");
  journal.set_entries(12);
  journal.set_lease_left_ms(-5);
  AddQueueTotals(reply);
  EXPECT_EQ(reply.queue_entries(), 7u);
  EXPECT_EQ(reply.queue_oldest_seconds(), 5u * 3600);
  EXPECT_THAT(
      reply.problems(),
      ElementsAre(
          "queue q-2: the journal's folder is read-only",
          "the delivery-queue at 10.0.0.3:7002 does not answer: gone",
          "the delivery-queue does not answer: gone",
          "queue q-1: the oldest message waits for 5 hours", "queue: 1 messages are held",
          "queue q-3 is gone, and its 12 messages wait until another queue takes them over"));
}

// What admin-services know of each other's callers.
store::v1::MeetReply Words(const Reports& other, int64_t other_now, uint64_t age_ms) {
  store::v1::MeetReply reply;
  auto& met = *reply.add_met();
  met.set_word(other.Word(other_now).SerializeAsString());
  met.set_age_ms(age_ms);
  return reply;
}

TEST(Reports, KnowsWhoSpokeToAnotherAdminAndTakesTheNewestWord) {
  Reports here, there;
  here.Take(Report("imap-gateway", "i-1"), 1000);
  ProcessReport moved = Report("imap-gateway", "i-1");
  moved.set_missing("store-service");
  there.Take(moved, 500'000);
  there.Take(Report("smtp-gateway", "m-1"), 500'500);
  here.TakeWords(Words(there, 501'000, 500), 10'000);
  const auto all = here.All(10'000);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].report.missing(), "store-service");
  EXPECT_EQ(all[0].silent_ms, 1500);
  EXPECT_EQ(all[1].report.name(), "m-1");
  EXPECT_EQ(all[1].silent_ms, 1000);
  store::v1::MeetReply broken;
  broken.add_met()->set_word("\xff\xff");
  here.TakeWords(broken, 10'000);
  EXPECT_THAT(here.All(10'000), SizeIs(1));
}

TEST(Reports, WhoLeftInOrderIsGoneWhoDiedIsRememberedForAWhile) {
  Reports reports;
  reports.Take(Report("imap-gateway", "left"), 0);
  reports.Take(Report("imap-gateway", "dead"), 0);
  ProcessReport last = Report("imap-gateway", "left");
  last.set_left(true);
  reports.Take(last, 1000);
  auto all = reports.All(60'000);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].report.name(), "dead");
  EXPECT_EQ(all[0].silent_ms, 60'000);
  EXPECT_THAT(reports.All(kForgottenMs), SizeIs(1));
  EXPECT_THAT(reports.All(kForgottenMs + 1), IsEmpty());
}

TEST(Reports, AreBounded) {
  Reports reports;
  for (size_t i = 0; i < Reports::kMost + 10; ++i)
    reports.Take(Report("imap-gateway", base::StrCat("i-", i)), 0);
  EXPECT_THAT(reports.All(0), SizeIs(Reports::kMost));
  ProcessReport known = Report("imap-gateway", "i-0");
  known.set_left(true);
  reports.Take(known, 1);
  EXPECT_THAT(reports.All(1), SizeIs(Reports::kMost - 1));
}

TEST(Reports, AnotherStartOfTheSameNameTakesThePlaceOfOneThatDied) {
  Reports reports;
  reports.Take(Report("imap-gateway", "i-1", "100"), 0);
  reports.Take(Report("imap-gateway", "i-1", "200"), 5000);
  EXPECT_THAT(reports.All(6000), SizeIs(2)) << "both speak: two of one host's name";
  const auto all = reports.All(8000);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].report.instance(), "i-1/200");
}

TEST(Reports, KnowsWhoBeginsAgainAfterItEndedWithoutLeaving) {
  for (const char* again : {"1", "2"}) {  // in a container each start is the first process
    Reports reports;
    reports.Take(Report("imap-gateway", "crashed", "1"), 1000);
    reports.Take(Report("imap-gateway", "left", "1"), 1000);
    ProcessReport last = Report("imap-gateway", "left", "1");
    last.set_left(true);
    reports.Take(last, 1100);
    for (const char* name : {"crashed", "left"})
      reports.Take(Starting(Report("imap-gateway", name, again), 50), 9000);
    auto all = reports.All(9000);
    ASSERT_THAT(all, SizeIs(2));
    EXPECT_TRUE(all[0].after_crash) << again;
    EXPECT_FALSE(all[1].after_crash) << again;
    EXPECT_FALSE(reports.All(1000 + kCrashedMs + 1)[0].after_crash) << again;
  }
}

TEST(Reports, WhoCrashesAgainAndAgainAtItsStartIsFoundOut) {
  Reports reports;
  for (int start = 0; start < 3; ++start) {
    for (const uint64_t ms : {0, 500})
      reports.Take(Starting(Report("imap-gateway", "i-1"), ms), 1000 + start * 1000 + int64_t(ms));
    EXPECT_EQ(reports.All(1500 + start * 1000)[0].after_crash, start > 0);
  }
}

}  // namespace
}  // namespace posthorn::admin_service
