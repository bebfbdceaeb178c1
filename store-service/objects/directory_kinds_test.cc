// Domains, accounts and aliases: their addresses, names, ids, and what goes with them.

#include "store-service/objects/objects_fixture.h"

namespace posthorn::store_service {
namespace {

TEST_P(ObjectsTest, AddressesAreUniqueOverAccountsAndAliases) {
  ASSERT_TRUE(Commit({Domain("example.org", {"example.net"}), Account("a@example.org")}).ok());
  EXPECT_EQ(Commit({Alias("a@example.org", "b@example.org")}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Commit({Alias("a@example.net", "b@example.org")}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Commit({Domain("example.net")}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Commit({Domain("other.test", {"example.org"})}).code(),
            absl::StatusCode::kAlreadyExists);
  // An account may become an alias in one commit.
  EXPECT_TRUE(
      Commit({Remove(kAccount, "a@example.org"), Alias("a@example.org", "x@else.test")}).ok());
  EXPECT_EQ(Resolve(store_->model(), "a@example.org").kind, Resolution::Kind::kAlias);
}

TEST_P(ObjectsTest, DomainsThatAreUsedStay) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org"),
                      Alias("b@example.org", "a@example.org")})
                  .ok());
  EXPECT_EQ(Commit({Remove(kDomain, "example.org")}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Commit({Remove(kDomain, "example.org"), Remove(kAccount, "a@example.org"),
                      Remove(kAlias, "b@example.org")})
                  .ok());
  EXPECT_EQ(Resolve(store_->model(), "a@example.org").kind, Resolution::Kind::kRemote);
}

TEST_P(ObjectsTest, RenamedDomainTakesAllAlong) {
  ASSERT_TRUE(Commit({Domain("old.test", {"alias.test"}), Account("a@old.test", QuickHash()),
                      Alias("b@old.test", "a@old.test")})
                  .ok());
  ChangeInput rename = Domain("new.test", {"alias.test"});
  rename.renamed_from = "old.test";
  ASSERT_TRUE(Commit({rename}).ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Names(kAccount), ElementsAre("a@new.test"));
    EXPECT_EQ(Resolve(store_->model(), "a@alias.test").canonical, "a@new.test");
    EXPECT_EQ(Resolve(store_->model(), "a@old.test").kind, Resolution::Kind::kRemote);
    config::Account account;
    ASSERT_TRUE(account.ParseFromString(List(kAccount, "a@new.test").at(0).row.data));
    EXPECT_EQ(account.address(), "a@new.test");
    EXPECT_TRUE(CredentialOf(kAccount, 1, "").has_value());
    Reopen();
  }
}

TEST_P(ObjectsTest, RenamesKeepIdAndPasswordAndMaySwap) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org", QuickHash()),
                      Account("b@example.org")})
                  .ok());
  ChangeInput to_b = Account("b@example.org");
  to_b.renamed_from = "a@example.org";
  ChangeInput to_a = Account("a@example.org");
  to_a.renamed_from = "b@example.org";
  ASSERT_TRUE(Commit({to_b, to_a}).ok());
  EXPECT_EQ(List(kAccount, "b@example.org").at(0).row.id, 1U);
  EXPECT_EQ(List(kAccount, "a@example.org").at(0).row.id, 2U);
  EXPECT_EQ(FindLogin(store_->model(), "b@example.org")->id, 1U);
  EXPECT_TRUE(CredentialOf(kAccount, 1, "").has_value());
  EXPECT_FALSE(CredentialOf(kAccount, 2, "").has_value());
}

TEST_P(ObjectsTest, IdsAreNeverUsedAgain) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit({Remove(kAccount, "a@example.org")}).ok());
  Reopen();
  ASSERT_TRUE(Commit({Account("a@example.org")}).ok());
  EXPECT_EQ(List(kAccount, "a@example.org").at(0).row.id, 2U);
  EXPECT_EQ(store_->model().Facts(1).state, AccountState::kDeleting);
}

TEST_P(ObjectsTest, AccountsPageByNameAlsoWithinADomain) {
  std::vector<ChangeInput> changes = {Domain("a.test"), Domain("b.test")};
  std::vector<std::string> names;
  for (const char* local : {"al", "a.l", "a", "b", "z", "a-"}) {
    for (const char* domain : {"a.test", "b.test"}) {
      names.push_back(base::StrCat(local, "@", domain));
      changes.push_back(Account(names.back()));
    }
  }
  ASSERT_TRUE(Commit(std::move(changes)).ok());
  std::sort(names.begin(), names.end());
  for (const std::string suffix : {"", "@b.test", "b.test"}) {
    std::vector<std::string> expected;
    for (const std::string& name : names) {
      if (name.ends_with(suffix)) expected.push_back(name);
    }
    std::vector<std::string> seen;
    ListQuery query{.suffix = suffix, .limit = 2};
    do {
      for (const std::string& name : Names(kAccount, query)) seen.push_back(query.after = name);
    } while (more_);
    EXPECT_EQ(seen, expected) << suffix;
  }
}

struct EraseRecorder final : AccountLifecycle {
  net::Task<absl::Status> EraseAccount(base::AccountId account) override {
    erased.push_back(account);
    if (loop != nullptr) loop->Stop();
    co_return absl::OkStatus();
  }
  net::Loop* loop = nullptr;
  std::vector<base::AccountId> erased;
};

TEST_P(ObjectsTest, MailOfRemovedAccountsIsErasedAlsoAfterARestart) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit({Remove(kAccount, "a@example.org")}).ok());
  Reopen();
  EraseRecorder recorder;
  recorder.loop = &loop_;
  store_->SetLifecycle(recorder);
  loop_.Run();
  EXPECT_THAT(recorder.erased, ElementsAre(1U));
  recorder.loop = nullptr;
  while (store_->model().Facts(1).state != AccountState::kUnknown) List(kAccount);
  Reopen();
  EXPECT_EQ(store_->model().Facts(1).state, AccountState::kUnknown);
}

}  // namespace
}  // namespace posthorn::store_service
