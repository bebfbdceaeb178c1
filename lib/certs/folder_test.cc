#include "lib/certs/folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>

#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/certs/files.h"
#include "lib/certs/issue.h"
#include "lib/testing/temp_dir.h"

namespace posthorn::certs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() {
    const auto made = InitFolder({dir(), {"mail.example", "192.0.2.1"}});
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_THAT(*made, SizeIs(Owners().size()));
  }
  std::string dir() const { return temp_.path() + "/certs"; }
  std::string Path(const std::string& owner, const char* file) const {
    return base::StrCat(dir(), "/", owner, "/", file);
  }
  std::string Text(const std::string& owner, const char* file) const {
    return *ReadFile(Path(owner, file));
  }
  Certificate Leaf(const std::string& owner) const {
    return ReadCertificates(Text(owner, "tls.crt"))->front();
  }
  std::vector<Certificate> Trusted(const std::string& owner) const {
    return *ReadCertificates(Text(owner, "ca.crt"));
  }
  mode_t Mode(const std::string& path) const {
    struct stat file{};
    stat(path.c_str(), &file);
    return file.st_mode & 07777;
  }
  RenewOptions Renew() const {
    RenewOptions options;
    options.dir = dir();
    return options;
  }
  // Everybody's certificate is believed by everybody.
  void ExpectAllBelieveAll() const {
    for (const std::string& owner : Owners()) {
      EXPECT_EQ(CheckKey(Text(owner, "tls.crt"), Text(owner, "tls.key")), absl::OkStatus());
      for (const std::string& other : Owners()) {
        EXPECT_NE(IssuerOf(Leaf(owner), Trusted(other)), nullptr) << owner << " at " << other;
      }
    }
  }
  std::vector<std::string> Done(const RenewOptions& options) const {
    const auto done = RenewFolder(options);
    EXPECT_TRUE(done.ok()) << done.status();
    return done.ok() ? *done : std::vector<std::string>{};
  }

 private:
  const posthorn::testing::TempDir temp_;
};

TEST_F(FolderTest, EachProcessGetsACertificateOfItsName) {
  ExpectAllBelieveAll();
  const Certificate leaf = Leaf("store-service");
  EXPECT_THAT(leaf.dns_names, ElementsAre("store-service.posthorn", "mail.example"));
  EXPECT_THAT(leaf.addresses, ElementsAre("192.0.2.1"));
  EXPECT_EQ(Mode(Path("store-service", "tls.key")), 0600U);
  EXPECT_EQ(Mode(Path("ca", "ca.key")), 0600U);
  EXPECT_EQ(Mode(dir() + "/ca"), 0700U);
}

TEST_F(FolderTest, AnAuthorityIsNeverMadeTwice) {
  EXPECT_EQ(InitFolder({dir()}).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(FolderTest, WhatIsYoungStays) {
  const std::string before = Text("cli", "tls.crt");
  EXPECT_THAT(Done(Renew()), IsEmpty());
  EXPECT_EQ(Text("cli", "tls.crt"), before);
}

TEST_F(FolderTest, WhatIsInItsLastThirdIsRenewedWithItsNames) {
  const Identity authority = {Text("ca", "ca.crt"), Text("ca", "ca.key")};
  const int64_t now = std::time(nullptr);
  const auto old = Issue(authority, {"cli.posthorn", "desk.example"}, {now - 70000, now + 30000});
  ASSERT_EQ(ReplaceFile(Path("cli", "tls.crt"), old->certificate_pem, 0644), absl::OkStatus());
  ASSERT_EQ(ReplaceFile(Path("cli", "tls.key"), old->key_pem, 0644), absl::OkStatus());
  RenewOptions options = Renew();
  options.days = 10;
  EXPECT_THAT(Done(options), ElementsAre(HasSubstr("cli: good until")));
  EXPECT_THAT(Leaf("cli").dns_names, ElementsAre("cli.posthorn", "desk.example"));
  EXPECT_NEAR(static_cast<double>(Leaf("cli").not_after), static_cast<double>(now + 10 * 86400),
              60);
  EXPECT_EQ(Mode(Path("cli", "tls.key")), 0600U) << "as it was";
  ExpectAllBelieveAll();
}

TEST_F(FolderTest, AllIsRenewedWhenAskedFor) {
  RenewOptions options = Renew();
  options.what = RenewOptions::What::kAll;
  EXPECT_THAT(Done(options), SizeIs(Owners().size()));
}

TEST_F(FolderTest, OtherHostsMakeOtherCertificates) {
  RenewOptions options = Renew();
  options.hosts = {"new.example"};
  EXPECT_THAT(Done(options), SizeIs(Owners().size()));
  EXPECT_THAT(Leaf("cli").dns_names, ElementsAre("cli.posthorn", "new.example"));
  EXPECT_THAT(Done(options), IsEmpty());
}

TEST_F(FolderTest, WhatIsLostOrDamagedIsMadeAnew) {
  std::filesystem::remove_all(dir() + "/cli");
  ASSERT_EQ(ReplaceFile(Path("spam-service", "tls.key"), Text("imap-gateway", "tls.key"), 0600),
            absl::OkStatus());
  EXPECT_THAT(Done(Renew()), ElementsAre(HasSubstr("spam-service"), HasSubstr("cli")));
  ExpectAllBelieveAll();
}

TEST_F(FolderTest, AnAuthorityIsReplacedInThreeRunsAndAllBelieveAllInBetween) {
  const std::string old = Trusted("cli").front().subject;
  RenewOptions options = Renew();
  options.authority = RenewOptions::Authority::kNow;
  EXPECT_THAT(Done(options), ElementsAre(HasSubstr("new authority")));
  EXPECT_THAT(Trusted("cli"), SizeIs(2));
  EXPECT_EQ(IssuerOf(Leaf("cli"), Trusted("cli"))->subject, old);
  ExpectAllBelieveAll();
  EXPECT_EQ(RenewFolder(options).status().code(), absl::StatusCode::kFailedPrecondition);

  EXPECT_THAT(Done(Renew()), SizeIs(Owners().size()));
  EXPECT_THAT(Trusted("cli"), SizeIs(2));
  EXPECT_NE(IssuerOf(Leaf("cli"), Trusted("cli"))->subject, old);
  ExpectAllBelieveAll();

  EXPECT_THAT(Done(Renew()), ElementsAre(HasSubstr("trusted no more")));
  EXPECT_THAT(Trusted("cli"), SizeIs(1));
  EXPECT_NE(Trusted("cli").front().subject, old);
  ExpectAllBelieveAll();
  EXPECT_THAT(Done(Renew()), IsEmpty());
}

// The new authority is known, its key was not written: the old one goes on.
TEST_F(FolderTest, AReplacementThatWasCutShortIsForgotten) {
  const Identity stray = *MakeAuthority("Stray", Validity::Days(1));
  const std::string before = Text("ca", "ca.crt");
  ASSERT_EQ(ReplaceFile(Path("ca", "ca.crt"), stray.certificate_pem + before, 0644),
            absl::OkStatus());
  EXPECT_THAT(Done(Renew()), ElementsAre(HasSubstr("trusted no more")));
  EXPECT_EQ(Text("ca", "ca.crt"), before);
  ExpectAllBelieveAll();
}

TEST_F(FolderTest, TheListSaysWhatIsWrong) {
  const auto list = ListFolder(dir());
  ASSERT_TRUE(list.ok());
  EXPECT_THAT(*list, SizeIs(Owners().size() + 1));
  for (const Listed& one : *list) EXPECT_EQ(one.problem, "") << one.owner;
  std::filesystem::remove(Path("cli", "tls.crt"));
  EXPECT_THAT(ListFolder(dir())->back().problem, HasSubstr("cannot read"));
}

}  // namespace
}  // namespace posthorn::certs
