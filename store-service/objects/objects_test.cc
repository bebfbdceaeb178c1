#include <gmock/gmock.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/auth/password_hash.h"
#include "lib/base/strings.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/directory/resolve.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {
namespace {

namespace config = posthorn::config::v1;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kDomain[] = "posthorn.config.v1.Domain";
constexpr char kAccount[] = "posthorn.config.v1.Account";
constexpr char kAlias[] = "posthorn.config.v1.Alias";
constexpr char kListener[] = "posthorn.config.v1.Listener";
constexpr char kCertificate[] = "posthorn.config.v1.Certificate";
constexpr char kAdministrator[] = "posthorn.config.v1.Administrator";
// Argon2id with small costs, so that tests need no 45 ms for each password: of "secret".
std::string QuickHash();

template <class T>
net::Task<void> Collect(net::Loop* loop, net::Task<T> task, std::optional<T>* out) {
  out->emplace(co_await std::move(task));
  loop->Stop();
}

class ObjectsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "objects_test.XXXXXX").string();
    directory_ = mkdtemp(name.data());
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Reopen() {
    store_.reset();
    auto opened = Configuration::Open(loop_, file::Real(),
                                      {.directory = directory_, .hash_threads = 1, .pool = pool_});
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  template <class T>
  T Run(net::Task<T> task) {
    std::optional<T> result;
    loop_.Spawn("test", Collect<T>(&loop_, std::move(task), &result));
    loop_.Run();
    return *std::move(result);
  }
  absl::Status Commit(std::vector<ChangeInput> changes, std::optional<uint64_t> head = {}) {
    return Run(store_->Commit({.expected_head = head.value_or(store_->head()),
                               .changes = std::move(changes),
                               .author = "tester",
                               .reason = "because"}))
        .status();
  }
  std::vector<ObjectPage::Item> List(std::string kind, std::string name = "",
                                     ListQuery query = {}) {
    auto page = Run(store_->List(std::move(kind), std::move(name), std::move(query)));
    EXPECT_TRUE(page.ok()) << page.status();
    more_ = page->more;
    return page->items;
  }
  std::vector<std::string> Names(std::string kind, ListQuery query = {}) {
    std::vector<std::string> names;
    for (const auto& item : List(std::move(kind), "", std::move(query)))
      names.push_back(item.row.name);
    return names;
  }
  std::optional<Credential> CredentialOf(std::string_view kind, uint64_t id,
                                         std::string_view name) {
    return Run(store_->FindCredential(OwnerOf(kind, id, name, "password"))).value();
  }
  std::string AllBytesOnDisk() {
    std::stringstream all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      all << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    }
    return all.str();
  }

  net::Loop loop_;
  std::string directory_;
  const google::protobuf::DescriptorPool* pool_ =
      google::protobuf::DescriptorPool::generated_pool();
  std::unique_ptr<Configuration> store_;
  bool more_ = false;
};

ChangeInput Domain(std::string name, std::vector<std::string> aliases = {}) {
  config::Domain domain;
  domain.set_name(name);
  for (std::string& alias : aliases) domain.add_alias_names(std::move(alias));
  return {.kind = kDomain, .name = std::move(name), .data = domain.SerializeAsString()};
}
ChangeInput Account(std::string address, std::string password = "") {
  config::Account account;
  account.set_address(address);
  account.set_password(std::move(password));
  account.set_full_name("Somebody");
  return {.kind = kAccount, .name = std::move(address), .data = account.SerializeAsString()};
}
ChangeInput Alias(std::string address, std::string target) {
  config::Alias alias;
  alias.set_address(address);
  alias.add_targets(std::move(target));
  return {.kind = kAlias, .name = std::move(address), .data = alias.SerializeAsString()};
}
ChangeInput Listener(std::string name, uint32_t port) {
  config::Listener listener;
  listener.set_name(name);
  listener.set_port(port);
  return {.kind = kListener, .name = std::move(name), .data = listener.SerializeAsString()};
}
ChangeInput Remove(std::string kind, std::string name) {
  return {.kind = std::move(kind), .name = std::move(name), .remove = true};
}

TEST_F(ObjectsTest, ObjectsComeBackAsTheyWereCommitted) {
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

TEST_F(ObjectsTest, SnapshotLeavesOutDirectoryKinds) {
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

TEST_F(ObjectsTest, SnapshotPagesByKindAndName) {
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

TEST_F(ObjectsTest, OfTwoThatSawTheSameHeadOneIsAborted) {
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

TEST_F(ObjectsTest, RacingCommitsHaveOneWinner) {
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

TEST_F(ObjectsTest, GuardsOfObjects) {
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

TEST_F(ObjectsTest, FailedCommitLeavesNothing) {
  ASSERT_TRUE(Commit({Domain("example.org")}).ok());
  EXPECT_EQ(Commit({Account("a@example.org"), Account("b@nowhere.test")}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(Names(kAccount).empty());
  EXPECT_EQ(Resolve(store_->model(), "a@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(store_->head(), 1U);
}

TEST_F(ObjectsTest, AddressesAreUniqueOverAccountsAndAliases) {
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

TEST_F(ObjectsTest, DomainsThatAreUsedStay) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org"),
                      Alias("b@example.org", "a@example.org")})
                  .ok());
  EXPECT_EQ(Commit({Remove(kDomain, "example.org")}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Commit({Remove(kDomain, "example.org"), Remove(kAccount, "a@example.org"),
                      Remove(kAlias, "b@example.org")})
                  .ok());
  EXPECT_EQ(Resolve(store_->model(), "a@example.org").kind, Resolution::Kind::kRemote);
}

TEST_F(ObjectsTest, RenamedDomainTakesAllAlong) {
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

TEST_F(ObjectsTest, RenamesKeepIdAndPasswordAndMaySwap) {
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

TEST_F(ObjectsTest, IdsAreNeverUsedAgain) {
  ASSERT_TRUE(Commit({Domain("example.org"), Account("a@example.org")}).ok());
  ASSERT_TRUE(Commit({Remove(kAccount, "a@example.org")}).ok());
  Reopen();
  ASSERT_TRUE(Commit({Account("a@example.org")}).ok());
  EXPECT_EQ(List(kAccount, "a@example.org").at(0).row.id, 2U);
  EXPECT_EQ(store_->model().Facts(1).state, AccountState::kDeleting);
}

TEST_F(ObjectsTest, PasswordsAreHashedAndNeverStored) {
  ChangeInput admin{.kind = kAdministrator, .name = "root"};
  config::Administrator message;
  message.set_name("root");
  message.set_password("very secret words");
  admin.data = message.SerializeAsString();
  ASSERT_TRUE(Commit({admin}).ok());
  const auto credential = CredentialOf(kAdministrator, 0, "root");
  ASSERT_TRUE(credential);
  EXPECT_EQ(auth::VerifyPassword(credential->hash, "very secret words"),
            auth::PasswordMatch::kMatch);
  EXPECT_TRUE(credential->scram.starts_with("SCRAM-SHA-256$4096:"));
  EXPECT_THAT(AllBytesOnDisk(), Not(HasSubstr("very secret words")));
  // Written again without a password: the old one stays.
  message.clear_password();
  admin.data = message.SerializeAsString();
  ASSERT_TRUE(Commit({admin}).ok());
  EXPECT_EQ(CredentialOf(kAdministrator, 0, "root")->hash, credential->hash);
  ASSERT_TRUE(Commit({Remove(kAdministrator, "root")}).ok());
  EXPECT_FALSE(CredentialOf(kAdministrator, 0, "root"));
}

TEST_F(ObjectsTest, KeysAreEncryptedInRowsAndHistory) {
  config::Certificate certificate;
  certificate.set_key("-----BEGIN PRIVATE KEY----- MC4CAQAw");
  ASSERT_TRUE(
      Commit({{.kind = kCertificate, .name = "default", .data = certificate.SerializeAsString()}})
          .ok());
  Reopen();
  config::Certificate read;
  ASSERT_TRUE(read.ParseFromString(List(kCertificate, "default").at(0).row.data));
  EXPECT_EQ(read.key(), certificate.key());
  EXPECT_THAT(AllBytesOnDisk(), Not(HasSubstr("PRIVATE KEY")));
  std::filesystem::remove(directory_ + "/directory.key");
  EXPECT_EQ(Configuration::Open(loop_, file::Real(), {.directory = directory_}).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ObjectsTest, HistoryTellsBeforeAndAfter) {
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

TEST_F(ObjectsTest, AccountsPageByNameAlsoWithinADomain) {
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

TEST_F(ObjectsTest, MailOfRemovedAccountsIsErasedAlsoAfterARestart) {
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

TEST_F(ObjectsTest, WatchersHearWhatToDrop) {
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

// As if the process was killed after COMMIT and before the answer: the caller asks again and learns
// that it happened.
TEST_F(ObjectsTest, CommitWithALostAnswerIsThereAfterARestart) {
  {
    const SecretBox box(store_->box());
    Kinds kinds;
    auto other = ObjectStore::Open({.path = directory_ + "/directory.db"}, box, kinds);
    ASSERT_TRUE(other.ok()) << other.status();
    PreparedCommit commit;
    commit.changes.push_back({.kind = kinds.Of(kDomain), .name = "example.org"});
    ASSERT_TRUE((*other)->Commit(commit).ok());
  }
  // The one who still believes in the old head changes nothing.
  EXPECT_EQ(Commit({Domain("example.org")}, 0).code(), absl::StatusCode::kAborted);
  Reopen();
  EXPECT_EQ(store_->head(), 1U);
  EXPECT_EQ(Resolve(store_->model(), "x@example.org").kind, Resolution::Kind::kUnknown);
  EXPECT_EQ(Commit({Domain("example.org")}, 0).code(), absl::StatusCode::kAborted);
}

// What a test may define for itself: a kind nobody here ever heard of.
constexpr char kOwnProto[] = R"(
  syntax = "proto3";
  package acme.v1;
  import "posthorn/config/v1/options.proto";
  message Robot {
    option (posthorn.config.v1.kind) = {word: "robot" help: "A robot"};
    string serial = 1 [(posthorn.config.v1.field) = {key: true required: true}];
    string pin = 2 [(posthorn.config.v1.field) = {secret: true write_only: true}];
    uint32 arms = 3;
  })";

class OwnKindTest : public ObjectsTest {
 protected:
  void SetUp() override {
    google::protobuf::io::ArrayInputStream input(kOwnProto, sizeof(kOwnProto) - 1);
    google::protobuf::io::Tokenizer tokenizer(&input, nullptr);
    google::protobuf::FileDescriptorProto file;
    google::protobuf::compiler::Parser parser;
    ASSERT_TRUE(parser.Parse(&tokenizer, &file));
    file.set_name("acme.proto");
    ASSERT_NE(own_.BuildFile(file), nullptr);
    pool_ = &own_;
    ObjectsTest::SetUp();
  }
  google::protobuf::DescriptorPool own_{google::protobuf::DescriptorPool::generated_pool()};
};

TEST_F(OwnKindTest, WorksWithoutAnyChange) {
  google::protobuf::DynamicMessageFactory factory(&own_);
  const auto* descriptor = own_.FindMessageTypeByName("acme.v1.Robot");
  const auto make = [&](std::string pin, uint32_t arms) {
    std::unique_ptr<google::protobuf::Message> robot(factory.GetPrototype(descriptor)->New());
    const auto* reflection = robot->GetReflection();
    reflection->SetString(robot.get(), descriptor->field(0), "r2");
    reflection->SetString(robot.get(), descriptor->field(1), pin);
    reflection->SetUInt32(robot.get(), descriptor->field(2), arms);
    return robot->SerializeAsString();
  };
  ASSERT_TRUE(Commit({{.kind = "acme.v1.Robot", .name = "r2", .data = make("4711-0815", 4)},
                      Listener("x", 1)})
                  .ok());
  Reopen();
  EXPECT_EQ(List("acme.v1.Robot", "r2").at(0).row.data, make("", 4));
  const auto credential =
      Run(store_->FindCredential(OwnerOf("acme.v1.Robot", 0, "r2", "pin"))).value();
  ASSERT_TRUE(credential);
  EXPECT_EQ(auth::VerifyPassword(credential->hash, "4711-0815"), auth::PasswordMatch::kMatch);
  EXPECT_THAT(AllBytesOnDisk(), Not(HasSubstr("4711-0815")));
}

std::string QuickHash() {
  static const std::string hash = auth::HashPassword("secret").value();
  return hash;
}

}  // namespace
}  // namespace posthorn::store_service
