#include "store-service/directory/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "store-service/directory/fakes_for_test.h"

namespace posthorn::store_service {
namespace {

using Kind = Resolution::Kind;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

class ResolveTest : public testing::Test {
 protected:
  void SetUp() override {
    ModelBuilder builder;
    builder.Domain(1, "example.org", {"example.net"}).Domain(2, "off.test").Domain(3, "plain.test");
    builder.Domain(4, "catch.test").Domain(5, "away.test").Domain(6, "lost.test");
    builder.delta().domains[1].enabled = false;
    builder.delta().domains[2].plus_character = "";
    builder.delta().domains[3].catch_all = "alice@example.org";
    builder.delta().domains[4].catch_all = "all@elsewhere.test";
    builder.delta().domains[5].catch_all = "nobody@lost.test";
    builder.Account(10, 1, "alice")
        .Account(11, 1, "bob")
        .Account(12, 1, "off")
        .Account(13, 1, "alice+vip");
    builder.delta().accounts[2].enabled = false;
    builder.Account(14, 2, "carol").Account(15, 3, "dave");
    builder.Alias(20, 1, "one", {"alice@example.org"})
        .Alias(21, 1, "two", {"alice@example.net", "bob@example.org"});
    builder.Alias(22, 1, "far", {"x@elsewhere.test"})
        .Alias(23, 1, "mixed", {"one@example.org", "x@elsewhere.test"});
    builder.Alias(24, 1, "again", {"one@example.org", "alice@example.org"});
    builder.Alias(25, 1, "loop", {"pool@example.org"}).Alias(26, 1, "pool", {"loop@example.org"});
    builder.Alias(27, 1, "gone", {"missing@example.org"})
        .Alias(28, 1, "some", {"missing@example.org", "bob@example.org"});
    builder.Alias(29, 1, "silent", {"alice@example.org"});
    builder.delta().aliases.back().enabled = false;
    builder.Alias(30, 1, "half", {"loop@example.org", "bob@example.org"})
        .Alias(31, 1, "tooff", {"off@example.org"});
    builder.Into(model_);
  }
  Model model_;
};

struct Case {
  const char* address;
  Kind kind;
  const char* canonical;
  const char* detail;
};

TEST_F(ResolveTest, EveryWayAnAddressCanGo) {
  const Case cases[] = {
      {"alice@example.org", Kind::kAccount, "alice@example.org", ""},
      {"alice@example.net", Kind::kAccount, "alice@example.org", ""},
      {"bob+news@example.org", Kind::kAccount, "bob@example.org", "news"},
      {"bob+a+b@example.org", Kind::kAccount, "bob@example.org", "a+b"},
      {"alice+vip@example.org", Kind::kAccount, "alice+vip@example.org", ""},
      {"+alice@example.org", Kind::kUnknown, "+alice@example.org", ""},
      {"one+x@example.org", Kind::kAccount, "alice@example.org", "x"},
      {"dave+x@plain.test", Kind::kUnknown, "dave+x@plain.test", ""},
      {"off@example.org", Kind::kDisabled, "off@example.org", ""},
      {"tooff@example.org", Kind::kDisabled, "tooff@example.org", ""},
      {"carol@off.test", Kind::kDisabled, "carol@off.test", ""},
      {"one@example.org", Kind::kAccount, "alice@example.org", ""},
      {"again@example.org", Kind::kAccount, "alice@example.org", ""},
      {"some@example.org", Kind::kAccount, "bob@example.org", ""},
      {"half@example.org", Kind::kAccount, "bob@example.org", ""},
      {"gone@example.org", Kind::kUnknown, "gone@example.org", ""},
      {"silent@example.org", Kind::kDisabled, "silent@example.org", ""},
      {"loop@example.org", Kind::kLoop, "loop@example.org", ""},
      {"who@example.org", Kind::kUnknown, "who@example.org", ""},
      {"who@elsewhere.test", Kind::kRemote, "who@elsewhere.test", ""},
      {"who@[192.0.2.1]", Kind::kRemote, "who@[192.0.2.1]", ""},
      {"any@catch.test", Kind::kAccount, "alice@example.org", ""},
      {"any@lost.test", Kind::kUnknown, "any@lost.test", ""},
  };
  for (const Case& c : cases) {
    const Resolution result = Resolve(model_, c.address);
    EXPECT_EQ(result.kind, c.kind) << c.address;
    EXPECT_EQ(result.canonical, c.canonical) << c.address;
    EXPECT_EQ(result.detail, c.detail) << c.address;
    EXPECT_EQ(result.account != nullptr, c.kind == Kind::kAccount) << c.address;
  }
}

TEST_F(ResolveTest, PostmasterLeadsToSomebodyInEveryDomain) {  // [RFC5321 4.5.1]
  // Nothing is configured: the domain's oldest account that is enabled, else the oldest of all.
  EXPECT_EQ(Resolve(model_, "postmaster@example.net").canonical, "alice@example.org");
  EXPECT_EQ(Resolve(model_, "postmaster@plain.test").canonical, "dave@plain.test");
  EXPECT_EQ(Resolve(model_, "postmaster@lost.test").canonical, "alice@example.org");
  EXPECT_EQ(Resolve(model_, "PostMaster").canonical, "alice@example.org");
  // The catch-all comes first.
  EXPECT_THAT(Resolve(model_, "postmaster@away.test").targets, ElementsAre("all@elsewhere.test"));
  // A domain that is off takes no mail at all.
  EXPECT_EQ(Resolve(model_, "postmaster@off.test").kind, Kind::kDisabled);
  EXPECT_EQ(Resolve(model_, "postmaster@elsewhere.test").kind, Kind::kRemote);

  model_.SetPostmaster("bob@example.org");
  EXPECT_EQ(Resolve(model_, "postmaster@plain.test").canonical, "bob@example.org");
  EXPECT_EQ(Resolve(model_, "postmaster").canonical, "bob@example.org");
  // Elsewhere: an alias of ours and no relaying.
  model_.SetPostmaster("hostmaster@elsewhere.test");
  for (const char* address : {"postmaster@plain.test", "postmaster"}) {
    EXPECT_EQ(Resolve(model_, address).kind, Kind::kAlias) << address;
    EXPECT_THAT(Resolve(model_, address).targets, ElementsAre("hostmaster@elsewhere.test"));
  }
  // One that leads nowhere, and one that leads back.
  for (const char* wrong : {"missing@example.org", "off@example.org", "postmaster@lost.test"}) {
    model_.SetPostmaster(wrong);
    EXPECT_EQ(Resolve(model_, "postmaster@plain.test").canonical, "dave@plain.test") << wrong;
  }
}

TEST_F(ResolveTest, APostmasterOfItsOwnIsTakenFirst) {
  model_.SetPostmaster("bob@example.org");
  ModelBuilder builder;
  builder.Account(50, 3, "postmaster").Into(model_);
  EXPECT_EQ(Resolve(model_, "postmaster@plain.test").account->id, 50U);
}

TEST_F(ResolveTest, AliasesAreExpandedToTheirLeaves) {
  EXPECT_THAT(Resolve(model_, "two@example.org").targets,
              ElementsAre("alice@example.org", "bob@example.org"));
  EXPECT_THAT(Resolve(model_, "mixed@example.org").targets,
              ElementsAre("alice@example.org", "x@elsewhere.test"));
  EXPECT_THAT(Resolve(model_, "far@example.org").targets, ElementsAre("x@elsewhere.test"));
  EXPECT_EQ(Resolve(model_, "far@example.org").kind, Kind::kAlias);
}

TEST_F(ResolveTest, CatchAllElsewhereIsAnAliasAndNoRelaying) {
  const Resolution result = Resolve(model_, "any@away.test");
  EXPECT_EQ(result.kind, Kind::kAlias);
  EXPECT_THAT(result.targets, ElementsAre("all@elsewhere.test"));
}

TEST_F(ResolveTest, DeeperThan25IsALoop) {
  ModelBuilder builder;
  for (AliasId i = 0; i <= 30; ++i) {
    builder.Alias(100 + i, 1, base::StrCat("d", i), {base::StrCat("d", i + 1, "@example.org")});
  }
  builder.Alias(131, 1, "d31", {"bob@example.org"});
  builder.Into(model_);
  EXPECT_EQ(Resolve(model_, "d0@example.org").kind, Kind::kLoop);
  EXPECT_EQ(Resolve(model_, "d7@example.org").kind, Kind::kAccount);
  EXPECT_EQ(Resolve(model_, "d6@example.org").kind, Kind::kLoop);
}

TEST_F(ResolveTest, LoginNamesAreAccountsOnly) {
  EXPECT_EQ(FindLogin(model_, "alice@example.net")->id, 10U);
  EXPECT_EQ(FindLogin(model_, "one@example.org"), nullptr);
  EXPECT_EQ(FindLogin(model_, "bob+x@example.org"), nullptr);
  EXPECT_EQ(FindLogin(model_, "alice"), nullptr);
}

TEST_F(ResolveTest, PeopleMaySendAsEveryAddressThatLeadsToThem) {
  EXPECT_THAT(model_.AddressesOf(*FindLogin(model_, "bob@example.org")),
              UnorderedElementsAre("bob@example.org", "bob@example.net", "two@example.org",
                                   "two@example.net", "some@example.org", "some@example.net",
                                   "half@example.org", "half@example.net"));
}

TEST_F(ResolveTest, RenamedDomainTakesItsAccountsAlong) {
  ModelBuilder builder;
  builder.Domain(1, "new.test").Into(model_);
  EXPECT_EQ(Resolve(model_, "alice@new.test").canonical, "alice@new.test");
  EXPECT_EQ(Resolve(model_, "alice@example.org").kind, Kind::kRemote);
  EXPECT_EQ(Resolve(model_, "alice@example.net").kind, Kind::kRemote);
}

TEST_F(ResolveTest, RemovedAccountIsUnknownAtOnceAndDeletingUntilForgotten) {
  ModelBuilder builder;
  AccountRecord gone;
  gone.id = 10;
  gone.deleting = true;
  builder.delta().accounts.push_back(gone);
  builder.Account(40, 1, "alice").Into(model_);
  EXPECT_EQ(Resolve(model_, "alice@example.org").account->id, 40U);
  EXPECT_EQ(model_.Facts(10).state, AccountState::kDeleting);
  model_.Forget(10);
  EXPECT_EQ(model_.Facts(10).state, AccountState::kUnknown);
  EXPECT_EQ(model_.Facts(12).state, AccountState::kDisabled);
  EXPECT_EQ(model_.Facts(14).state, AccountState::kDisabled);
  EXPECT_EQ(model_.Facts(11).state, AccountState::kActive);
}

TEST_F(ResolveTest, LooksUpFastAmongManyAccounts) {
  ModelBuilder builder;
  for (uint64_t i = 0; i < 100000; ++i) builder.Account(1000 + i, 3, base::StrCat("user", i));
  builder.Into(model_);
  const int64_t begin = base::MonotonicMicros();
  size_t found = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    found += Resolve(model_, base::StrCat("user", i * 7, "@plain.test")).account != nullptr;
  }
  RecordProperty("micros_for_10000", static_cast<int>(base::MonotonicMicros() - begin));
  EXPECT_EQ(found, 10000U);
}

}  // namespace
}  // namespace posthorn::store_service
