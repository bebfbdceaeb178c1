// Two stores on one database: what one commits the other shows, tells and obeys.

#include "store-service/objects/key_file.h"
#include "store-service/objects/replicas_fixture.h"

namespace posthorn::store_service {
namespace {

TEST_F(ReplicasTest, CommitsOfOneAreSeenAndToldByTheOtherWithinASecond) {
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Until([&] { return b().head() == 1; }, std::chrono::seconds(1)));
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kAccount);
  Feed::Reader reader(b().feed());
  ASSERT_TRUE(
      Commit(a(), {Remove(kAccount, "a@example.org"), Alias("c@example.org", "x@y.test")}).ok());
  const auto changes = Run(reader.Next(std::chrono::seconds(1)));
  EXPECT_THAT(Addresses(changes), UnorderedElementsAre("a@example.org", "c@example.org"));
  EXPECT_EQ(changes.at(0).account, 1U);
  EXPECT_TRUE(changes.at(0).end_sessions);
  EXPECT_EQ(changes.at(0).revision, 2U);
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Resolve(b().model(), "c@example.org").targets, std::vector<std::string>{"x@y.test"});
  EXPECT_EQ(b().model().Facts(1).state, AccountState::kDeleting);
}

TEST_F(ReplicasTest, CatchingUpDoesNotWaitForTheNextLook) {
  Restart(std::chrono::hours(1));
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kRemote);
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kAccount);
  // And a commit on what the other made needs no second try.
  ASSERT_TRUE(Commit(a(), {Alias("b@example.org", "a@example.org")}).ok());
  EXPECT_TRUE(Commit(b(), {Listener("l", 1)}, 2).ok());
}

TEST_F(ReplicasTest, CommitsAtBothHaveOneOrderAndNoneIsLost) {
  constexpr int kEach = 20;
  int running = 2;
  loop_.Spawn("a", CommitMany(&a(), "a", kEach, &running));
  loop_.Spawn("b", CommitMany(&b(), "b", kEach, &running));
  loop_.Run();
  ASSERT_TRUE(Run(a().CatchUp()).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(a().head(), 2U * kEach);
  EXPECT_EQ(b().head(), 2U * kEach);
  const auto history = Run(a().History({.limit = 1000})).value();
  ASSERT_EQ(history.size(), 2U * kEach);
  std::set<std::string> names;
  for (size_t i = 0; i < history.size(); ++i) {
    EXPECT_EQ(history[i].revision, history.size() - i);
    names.insert(history[i].changes.at(0).name);
  }
  EXPECT_EQ(names.size(), 2U * kEach);
  EXPECT_EQ(Run(b().List(kListener, "", {})).value().items.size(), 2U * kEach);
}

TEST_F(ReplicasTest, APasswordChangedAtOneEndsSessionsAtTheOther) {
  EndRecorder ended;
  b().SetSessionEnder(ended);
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org", QuickHash())}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  const uint64_t session = b().model().Facts(1).session_version;
  ASSERT_TRUE(Commit(a(), {Account("a@example.org")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_TRUE(ended.accounts.empty());
  ASSERT_TRUE(Commit(a(), {Account("a@example.org", QuickHash())}).ok());
  ASSERT_TRUE(Until([&] { return !ended.accounts.empty(); }, std::chrono::seconds(1)));
  EXPECT_THAT(ended.accounts, ElementsAre(1U));
  EXPECT_NE(b().model().Facts(1).session_version, session);
}

TEST_F(ReplicasTest, WhatCameAndWentBetweenTwoLooksIsToldToo) {
  Restart(std::chrono::hours(1));
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Domain("example.net")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  Feed::Reader reader(b().feed());
  ASSERT_TRUE(Commit(a(), {Alias("gone@example.org", "x@y.test"), Account("z@example.org")}).ok());
  ASSERT_TRUE(Commit(a(), {Remove(kAlias, "gone@example.org")}).ok());
  ASSERT_TRUE(Commit(a(), {Remove(kDomain, "example.net")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  const auto changes = Run(reader.Next(std::chrono::seconds(1)));
  EXPECT_THAT(Addresses(changes), UnorderedElementsAre("gone@example.org", "z@example.org"));
  EXPECT_TRUE(std::any_of(changes.begin(), changes.end(),
                          [](const FeedChange& c) { return c.domain_name == "example.net"; }));
  EXPECT_EQ(Resolve(b().model(), "z@example.net").kind, Resolution::Kind::kRemote);
}

TEST_F(ReplicasTest, RenamesAreFollowed) {
  Restart(std::chrono::hours(1));
  ASSERT_TRUE(Commit(a(), {Domain("old.test", {"alias.test"}), Account("a@old.test"),
                           Alias("b@old.test", "a@old.test")})
                  .ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  ChangeInput domain = Domain("new.test", {"alias.test"});
  domain.renamed_from = "old.test";
  ASSERT_TRUE(Commit(a(), {domain}).ok());
  ChangeInput account = Account("c@new.test");
  account.renamed_from = "a@new.test";
  ASSERT_TRUE(Commit(a(), {account}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(Resolve(b().model(), "c@alias.test").account->id, 1U);
  EXPECT_EQ(Resolve(b().model(), "c@alias.test").canonical, "c@new.test");
  EXPECT_EQ(Resolve(b().model(), "a@new.test").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Resolve(b().model(), "a@old.test").kind, Resolution::Kind::kRemote);
}

TEST_F(ReplicasTest, TheOwnerErasesAndTheOtherForgets) {
  Eraser not_mine(base::Unavailable(base::kNotOwner));
  Eraser mine(absl::OkStatus());
  a().SetLifecycle(not_mine);
  b().SetLifecycle(mine);
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit(a(), {Remove(kAccount, "a@example.org")}).ok());
  ASSERT_TRUE(Until([&] { return a().model().Facts(1).state == AccountState::kUnknown; }));
  ASSERT_TRUE(Until([&] { return b().model().Facts(1).state == AccountState::kUnknown; }));
  EXPECT_THAT(mine.asked, ElementsAre(1U));
}

TEST_F(ReplicasTest, TwoStoresThatStartAtOnceMakeTheTablesOnce) {
  const std::string schema = Server().NewDatabase();
  const auto database = std::shared_ptr(sql::OpenMysql(MysqlOptions(Server(), schema)));
  std::vector<absl::Status> results(4);
  std::vector<std::thread> threads;
  for (absl::Status& result : results) {
    threads.emplace_back([&result, &database] {
      auto db = database->Connect();
      result = db.ok() ? (*db)->Migrate("directory", DirectorySchema()) : db.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) EXPECT_TRUE(result.ok()) << result;
}

TEST(KeyFile, IsMadeOnceByStoresThatStartTogether) {
  const posthorn::testing::TempDir folder;
  const std::string path = folder.File("directory.key");
  std::vector<std::string> keys(8);
  std::vector<std::thread> threads;
  for (std::string& key : keys) {
    threads.emplace_back([&key, &path] {
      key = LoadOrMakeKey(file::Real(), path, path + ".no-database").value_or("");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keys[0].size(), 32U);
  for (const std::string& key : keys) EXPECT_EQ(key, keys[0]);
}

TEST_F(ReplicasTest, AStoreWithAnotherKeyIsRefused) {
  Configuration::Options options = OptionsHere();
  options.key_file = directory_.File("another.key");
  EXPECT_EQ(Configuration::Open(loop_, file::Real(), options).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(options.key_file));
  std::ofstream(options.key_file) << std::string(32, 'k');
  EXPECT_EQ(Configuration::Open(loop_, file::Real(), options).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace posthorn::store_service
