// Two stores that write to different nodes of one cluster, as after a fail-over of one of them.

#include "store-service/objects/replicas_fixture.h"

namespace posthorn::store_service {
namespace {

class GaleraStoresTest : public ReplicasTest {
 protected:
  // One for all tests; who kills a node comes last.
  static void SetUpTestSuite() { cluster_ = posthorn::testing::GaleraCluster::Start(); }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    ReplicasTest::SetUp();
  }
  posthorn::testing::MariadbServer& server() override { return cluster_->node(0); }
  // The first store begins with node 0, the second with node 1.
  std::shared_ptr<sql::Database> Database() override {
    mysql::Options options;
    options.target = mysql::ParseTarget(cluster_->Url(schema_, opened_++ % 2)).value();
    options.password = posthorn::testing::MariadbServer::kPassword;
    return sql::OpenMysql(std::move(options));
  }
  static net::Task<absl::Status> CommitAtLast(net::Loop* loop, Configuration* store,
                                              std::string name) {
    for (int i = 0;; ++i) {
      CommitInput input{.expected_head = store->head(), .changes = {Listener(name, 1)}};
      const auto done = co_await store->Commit(std::move(input));
      if (done.ok() || i == 300) co_return done.status();
      co_await net::Sleep(*loop, std::chrono::milliseconds(50));
      (void)co_await store->CatchUp();
    }
  }

  static inline std::unique_ptr<posthorn::testing::GaleraCluster> cluster_;
  int opened_ = 0;
};

// A look-up right after a commit elsewhere sees it, though its node applies it a moment later.
TEST_F(GaleraStoresTest, CatchingUpOnAnotherNodeMissesNothing) {
  ASSERT_TRUE(Commit(a(), {Domain("example.org")}).ok());
  for (int i = 0; i < 50; ++i) {
    const std::string address = base::StrCat("a", i, "@example.org");
    ASSERT_TRUE(Commit(a(), {Account(address)}).ok());
    ASSERT_TRUE(Run(b().CatchUp()).ok());
    ASSERT_EQ(Resolve(b().model(), address).kind, Resolution::Kind::kAccount) << address;
  }
}

TEST_F(GaleraStoresTest, CommitsOnTwoNodesHaveOneOrderAndSurviveTheDeathOfOne) {
  constexpr int kEach = 20;
  int running = 2;
  loop_.Spawn("a", CommitMany(&a(), "a", kEach, &running));
  loop_.Spawn("b", CommitMany(&b(), "b", kEach, &running));
  loop_.Run();
  ASSERT_TRUE(Run(a().CatchUp()).ok());
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(a().head(), 2U * kEach);
  EXPECT_EQ(b().head(), 2U * kEach);
  EXPECT_EQ(Run(a().List(kListener, "", {})).value().items.size(), 2U * kEach);

  cluster_->node(0).Kill();
  const absl::Status done = Run(CommitAtLast(&loop_, &a(), "late"));
  ASSERT_TRUE(done.ok()) << done;
  ASSERT_TRUE(Run(b().CatchUp()).ok());
  EXPECT_EQ(b().head(), 2U * kEach + 1);
  EXPECT_EQ(Run(b().History({.limit = 1000})).value().size(), 2U * kEach + 1);
}

}  // namespace
}  // namespace posthorn::store_service
