// What is committed, what comes back, and who wins.

#include "store-service/objects/objects_fixture.h"

namespace posthorn::store_service {
namespace {

INSTANTIATE_TEST_SUITE_P(Engines, ObjectsTest, ::testing::Values(Engine::kSqlite, Engine::kMysql),
                         NameOf);

TEST_P(ObjectsTest, ObjectsComeBackAsTheyWereCommitted) {
  ASSERT_TRUE(Commit({Listener("smtp", 25), Listener("imap", 143), Domain("example.org"),
                      Account("a@example.org")})
                  .ok());
  EXPECT_EQ(store_->head(), 1U);
  EXPECT_THAT(Names(kListener), ElementsAre("imap", "smtp"));
  config::Listener listener;
  ASSERT_TRUE(listener.ParseFromString(List(kListener, "imap").at(0).row.data));
  EXPECT_EQ(listener.name(), "imap");
  EXPECT_EQ(listener.port(), 143U);
  config::Account account;
  const ObjectRow row = List(kAccount, "a@example.org").at(0).row;
  ASSERT_TRUE(account.ParseFromString(row.data));
  EXPECT_EQ(account.address(), "a@example.org");
  EXPECT_EQ(account.full_name(), "Somebody");
  EXPECT_EQ(row.id, 1U);
  EXPECT_EQ(row.revision, 1U);
  EXPECT_TRUE(List(kListener, "pop3").empty());
}

TEST_P(ObjectsTest, SnapshotLeavesOutDirectoryKinds) {
  ASSERT_TRUE(Commit({Listener("smtp", 25),
                      Domain("example.org"),
                      Account("a@example.org"),
                      {.kind = "somebody.else.Kind", .name = "x", .data = "opaque"}})
                  .ok());
  const auto all = List("");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].kind, kListener);
  EXPECT_EQ(all[1].kind, "somebody.else.Kind");
  EXPECT_EQ(all[1].row.data, "opaque");
  EXPECT_THAT(AllBytesOnDisk(), Not(HasSubstr("opaque")));
}

TEST_P(ObjectsTest, SnapshotPagesByKindAndName) {
  std::vector<ChangeInput> changes;
  for (int i = 0; i < 5; ++i) changes.push_back(Listener(base::StrCat("l", i), 25));
  changes.push_back({.kind = "posthorn.config.v1.Settings", .name = "default"});
  ASSERT_TRUE(Commit(std::move(changes)).ok());
  std::vector<std::string> names;
  ListQuery query{.limit = 2};
  do {
    for (const auto& item : List("", "", query)) {
      names.push_back(item.row.name);
      query.after = base::StrCat(item.kind, " ", item.row.name);
    }
  } while (more_);
  EXPECT_THAT(names, ElementsAre("l0", "l1", "l2", "l3", "l4", "default"));
}

TEST_P(ObjectsTest, OfTwoThatSawTheSameHeadOneIsAborted) {
  const uint64_t head = store_->head();
  EXPECT_TRUE(Commit({Listener("a", 1)}, head).ok());
  EXPECT_EQ(Commit({Listener("b", 2)}, head).code(), absl::StatusCode::kAborted);
  EXPECT_THAT(Names(kListener), ElementsAre("a"));
}

net::Task<void> Race(net::Loop* loop, Configuration* store, std::string name, uint64_t head,
                     std::vector<absl::Status>* results, size_t racers) {
  results->push_back(
      (co_await store->Commit({.expected_head = head, .changes = {Listener(name, 1)}})).status());
  if (results->size() == racers) loop->Stop();
}

TEST_P(ObjectsTest, RacingCommitsHaveOneWinner) {
  std::vector<absl::Status> results;
  constexpr size_t kRacers = 20;
  for (size_t i = 0; i < kRacers; ++i) {
    loop_.Spawn("race", Race(&loop_, store_.get(), base::StrCat("l", i), 0, &results, kRacers));
  }
  loop_.Run();
  EXPECT_EQ(std::count_if(results.begin(), results.end(), [](const auto& s) { return s.ok(); }), 1);
  EXPECT_EQ(std::count_if(results.begin(), results.end(),
                          [](const auto& s) { return absl::IsAborted(s); }),
            kRacers - 1);
  EXPECT_EQ(Names(kListener).size(), 1U);
}

TEST_P(ObjectsTest, GuardsOfObjects) {
  ASSERT_TRUE(Commit({Listener("a", 1)}).ok());
  ASSERT_TRUE(Commit({Listener("b", 1)}).ok());
  ChangeInput guarded = Listener("a", 2);
  guarded.expected_revision = 0;
  EXPECT_EQ(Commit({guarded}).code(), absl::StatusCode::kAlreadyExists);
  guarded.expected_revision = 2;
  EXPECT_EQ(Commit({guarded}).code(), absl::StatusCode::kAborted);
  guarded.expected_revision = 1;
  EXPECT_TRUE(Commit({guarded}).ok());
  EXPECT_EQ(List(kListener, "a").at(0).row.revision, 3U);
  EXPECT_EQ(Commit({Remove(kListener, "z")}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Commit({Listener("a", 1), Listener("a", 2)}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Commit({{.kind = kListener, .name = "bad", .data = "\xff\xff"}}).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_P(ObjectsTest, FailedCommitLeavesNothing) {
  ASSERT_TRUE(Commit({Domain("example.org")}).ok());
  EXPECT_EQ(Commit({Account("a@example.org"), Account("b@nowhere.test")}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(Names(kAccount).empty());
  EXPECT_EQ(Resolve(store_->model(), "a@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(store_->head(), 1U);
}

// As if the process was killed after COMMIT and before the answer: the caller asks again and learns
// that it happened.
TEST_P(ObjectsTest, CommitWithALostAnswerIsThereAfterARestart) {
  {
    const SecretBox box(store_->box());
    Kinds kinds;
    auto other = ObjectStore::Open(*database_, box, kinds);
    ASSERT_TRUE(other.ok()) << other.status();
    PreparedCommit commit;
    commit.changes.push_back({.kind = kinds.Of(kDomain), .name = "example.org"});
    ASSERT_TRUE((*other)->Commit(commit).ok());
  }
  // The one who still believes in the old head changes nothing.
  EXPECT_EQ(Commit({Domain("example.net")}, 0).code(), absl::StatusCode::kAborted);
  Reopen();
  EXPECT_EQ(store_->head(), 1U);
  EXPECT_EQ(Resolve(store_->model(), "x@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Commit({Domain("example.org")}, 0).code(), absl::StatusCode::kAborted);
}

TEST_P(ObjectsTest, HistoryTellsBeforeAndAfter) {
  ASSERT_TRUE(Commit({Listener("a", 1)}).ok());
  ASSERT_TRUE(Commit({Listener("a", 2), Listener("b", 3)}).ok());
  ASSERT_TRUE(Commit({Remove(kListener, "b")}).ok());
  const auto all = Run(store_->History({.limit = 10})).value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].revision, 3U);
  EXPECT_EQ(all[0].author, "tester");
  EXPECT_EQ(all[0].reason, "because");
  EXPECT_GT(all[0].time_ms, 0);
  EXPECT_TRUE(all[0].changes.at(0).before);
  EXPECT_FALSE(all[0].changes.at(0).after);
  config::Listener before, after;
  ASSERT_TRUE(before.ParseFromString(*all[1].changes.at(0).before));
  ASSERT_TRUE(after.ParseFromString(*all[1].changes.at(0).after));
  EXPECT_EQ(before.port(), 1U);
  EXPECT_EQ(after.port(), 2U);
  EXPECT_EQ(Run(store_->History({.before = 2, .limit = 10})).value().size(), 1U);
  EXPECT_EQ(Run(store_->History({.revision = 2, .limit = 10})).value().at(0).changes.size(), 2U);
}

TEST_P(ObjectsTest, WatchersHearWhatToDrop) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org", QuickHash())}).ok());
  Feed::Reader reader(store_->feed());
  const uint64_t version = store_->model().VersionOf(1);
  const uint64_t session = store_->model().Facts(1).session_version;
  ASSERT_TRUE(Commit({Account("a@example.org")}).ok());
  auto changes = Run(reader.Next(std::chrono::seconds(5)));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].account, 1U);
  EXPECT_EQ(changes[0].address, "a@example.org");
  EXPECT_FALSE(changes[0].end_sessions);
  EXPECT_NE(store_->model().VersionOf(1), version);
  EXPECT_EQ(store_->model().Facts(1).session_version, session);
  ASSERT_TRUE(Commit({Account("a@example.org", QuickHash())}).ok());
  EXPECT_TRUE(Run(reader.Next(std::chrono::seconds(5))).at(0).end_sessions);
  EXPECT_NE(store_->model().Facts(1).session_version, session);
  EXPECT_TRUE(Run(reader.Next(std::chrono::milliseconds(1))).empty());
}

}  // namespace
}  // namespace posthorn::store_service
