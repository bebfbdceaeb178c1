// What may never lie on the disk as it came, in our kinds and in a kind of somebody else.

#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "store-service/objects/objects_fixture.h"

namespace posthorn::store_service {
namespace {

TEST_P(ObjectsTest, PasswordsAreHashedAndNeverStored) {
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

TEST_P(ObjectsTest, KeysAreEncryptedInRowsAndHistory) {
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
  store_.reset();
  std::filesystem::remove(directory_ + "/directory.key");
  EXPECT_EQ(Configuration::Open(loop_, file::Real(), OptionsHere()).status().code(),
            GetParam() == Engine::kSqlite ? absl::StatusCode::kDataLoss
                                          : absl::StatusCode::kFailedPrecondition);
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

INSTANTIATE_TEST_SUITE_P(Engines, OwnKindTest, ::testing::Values(Engine::kSqlite, Engine::kMysql),
                         NameOf);

TEST_P(OwnKindTest, WorksWithoutAnyChange) {
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

TEST_P(ObjectsTest, EachAccountOfOneCommitGetsItsOwnPassword) {
  std::vector<ChangeInput> changes = {Domain("example.org")};
  for (int i = 1; i <= 10; ++i) {
    changes.push_back(Account(base::StrCat("a", i, "@example.org"), base::StrCat("password", i)));
  }
  ASSERT_TRUE(Commit(std::move(changes)).ok());
  for (int i = 1; i <= 10; ++i) {
    const std::string address = base::StrCat("a", i, "@example.org");
    // Ids are given in the order of the changes.
    const auto credential = CredentialOf(kAccount, static_cast<uint64_t>(i), "");
    ASSERT_TRUE(credential) << address;
    EXPECT_NE(auth::VerifyPassword(credential->hash, base::StrCat("password", i)),
              auth::PasswordMatch::kMismatch)
        << address;
  }
}

}  // namespace
}  // namespace posthorn::store_service
