// The database goes away, loses its newest commits, or its answers get lost.

#include "store-service/objects/replicas_fixture.h"

namespace posthorn::store_service {
namespace {

class OwnServerTest : public ReplicasTest {
 protected:
  void SetUp() override {
    server_ = posthorn::testing::MariadbServer::Start();
    ASSERT_NE(server_, nullptr);
    ReplicasTest::SetUp();
  }
  posthorn::testing::MariadbServer& server() override { return *server_; }
  static net::Task<bool> Again(net::Loop* loop, Configuration* store) {
    for (int i = 0; i < 500; ++i) {
      if ((co_await store->CatchUp()).ok()) co_return true;
      co_await net::Sleep(*loop, std::chrono::milliseconds(20));
    }
    co_return false;
  }
  std::unique_ptr<posthorn::testing::MariadbServer> server_;
};

TEST_F(OwnServerTest, WithoutTheDatabaseOnlyGoodNewsIsKnown) {
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  server_->Kill();
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kAccount);
  EXPECT_EQ(Run(b().CatchUp()).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Commit(b(), {Listener("l", 1)}).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(server_->Restart());
  ASSERT_TRUE(Run(Again(&loop_, &b())));
  ASSERT_TRUE(Commit(b(), {Alias("b@example.org", "a@example.org")}).ok());
  ASSERT_TRUE(Until([&] { return a().head() == 2; }));
  EXPECT_EQ(Resolve(a().model(), "b@example.org").kind, Resolution::Kind::kAccount);
}

class LostHistoryTest : public ReplicasTest {
 protected:
  // As after a fail-over to a node that had not got the newest commit.
  void LoseTheNewest() {
    Server().Sql(
        base::StrCat("USE ", schema_,
                     ";UPDATE head SET revision=revision-1;DELETE FROM revision WHERE revision>2;"
                     "DELETE FROM revision_change WHERE revision>2;DELETE FROM alias;"
                     "DELETE FROM address WHERE type=2;"));
  }
};

TEST_F(LostHistoryTest, IsReadAnewAndTold) {
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit(a(), {Listener("l", 1)}).ok());
  ASSERT_TRUE(Commit(a(), {Alias("b@example.org", "a@example.org")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  Feed::Reader reader(b().feed());
  LoseTheNewest();
  ASSERT_TRUE(Until([&] { return b().head() == 2; }));
  EXPECT_EQ(Resolve(b().model(), "b@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Resolve(b().model(), "a@example.org").kind, Resolution::Kind::kAccount);
  EXPECT_TRUE(Run(reader.Next(std::chrono::seconds(1))).back().all);
}

TEST_F(LostHistoryTest, IsNoticedAlsoWhenTheHeadHasTheSameNumberAgain) {
  Restart(std::chrono::hours(1));
  ASSERT_TRUE(Commit(a(), {Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit(a(), {Listener("l", 1)}).ok());
  ASSERT_TRUE(Commit(a(), {Alias("b@example.org", "a@example.org")}).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  LoseTheNewest();
  ASSERT_TRUE(Run(a().CatchUp()).ok());
  ASSERT_TRUE(Commit(a(), {Alias("c@example.org", "a@example.org")}).ok());
  EXPECT_EQ(a().head(), b().head());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(Resolve(b().model(), "b@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Resolve(b().model(), "c@example.org").kind, Resolution::Kind::kAccount);
}

// A link that breaks when COMMIT was sent: before the server got it, or after.
enum class Break { kNever, kBefore, kAfter };

class BreakingConnection final : public sql::Connection {
 public:
  BreakingConnection(std::unique_ptr<sql::Connection> inner, Break& next)
      : inner_(std::move(inner)), next_(next) {}
  absl::Status Execute(std::string_view sql, std::span<const sql::Argument> all) override {
    return inner_->Execute(sql, all);
  }
  std::unique_ptr<sql::Rows> Open(std::string_view sql,
                                  std::span<const sql::Argument> all) override {
    return inner_->Open(sql, all);
  }
  absl::Status Migrate(std::string_view part, std::span<const sql::Migration> steps) override {
    return inner_->Migrate(part, steps);
  }
  int64_t changes() const override { return inner_->changes(); }
  bool shared() const override { return true; }
  std::string_view clock_ms() const override { return inner_->clock_ms(); }

 protected:
  absl::Status Begin(Access access) override {
    ASSIGN_OR_RETURN(sql::Transaction begun, sql::Transaction::Begin(*inner_, access));
    transaction_.emplace(std::move(begun));
    return absl::OkStatus();
  }
  absl::Status Commit() override {
    const Break how = std::exchange(next_, Break::kNever);
    const absl::Status status = how == Break::kBefore ? absl::OkStatus() : transaction_->Commit();
    transaction_.reset();
    return how == Break::kNever ? status : absl::UnknownError("the link broke");
  }
  void Rollback() override { transaction_.reset(); }
  uint64_t conflicts() const override { return 0; }

 private:
  std::unique_ptr<sql::Connection> inner_;
  Break& next_;
  std::optional<sql::Transaction> transaction_;
};

class BreakingDatabase final : public sql::Database {
 public:
  BreakingDatabase(std::shared_ptr<sql::Database> inner, Break& next)
      : inner_(std::move(inner)), next_(next) {}
  absl::StatusOr<std::unique_ptr<sql::Connection>> Connect() override {
    ASSIGN_OR_RETURN(auto inner, inner_->Connect());
    return std::unique_ptr<sql::Connection>(
        std::make_unique<BreakingConnection>(std::move(inner), next_));
  }
  bool shared() const override { return true; }

 private:
  std::shared_ptr<sql::Database> inner_;
  Break& next_;
};

class BrokenLinkTest : public ReplicasTest {
 protected:
  std::shared_ptr<sql::Database> Database() override {
    return std::make_shared<BreakingDatabase>(ReplicasTest::Database(), next_);
  }
  Break next_ = Break::kNever;
};

TEST_F(BrokenLinkTest, ACommitHappensOnceWhereverTheLinkBreaks) {
  for (const Break how : {Break::kBefore, Break::kAfter}) {
    const uint64_t head = a().head();
    const std::string name = base::StrCat("d", head, ".test");
    next_ = how;
    EXPECT_TRUE(Commit(a(), {Domain(name)}).ok());
    EXPECT_EQ(a().head(), head + 1);
    EXPECT_NE(a().model().FindDomain(name), nullptr);
  }
  EXPECT_EQ(Run(a().History({.limit = 10})).value().size(), 2U);
}

}  // namespace
}  // namespace posthorn::store_service
