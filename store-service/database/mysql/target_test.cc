#include "store-service/database/mysql/target.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"

namespace posthorn::mysql {
namespace {

TEST(Target, HasUserHostsInOrderAndName) {
  const auto target = ParseTarget("mysql://mail@db1:3307,db2,[fd00::1]:4000,[::1]/post-horn_1");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->user, "mail");
  EXPECT_EQ(target->database, "post-horn_1");
  EXPECT_EQ(target->hosts,
            (std::vector<Host>{{"db1", 3307}, {"db2", 3306}, {"fd00::1", 4000}, {"::1", 3306}}));
  EXPECT_EQ(ToString(target->hosts[0]), "db1:3307");
  EXPECT_EQ(ToString(target->hosts[2]), "[fd00::1]:4000");
}

TEST(Target, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"postgres://a@b/c", "mysql://"},
      {"mysql://a@b", "/NAME"},
      {"mysql://a@b/", "name"},
      {"mysql://a@b/na`me", "name"},
      {"mysql://b/c", "USER@"},
      {"mysql://@b/c", "USER@"},
      {"mysql://a:secret@b/c", "--database-password-file"},
      {"mysql://a@/c", "empty"},
      {"mysql://a@b,,d/c", "empty"},
      {"mysql://a@b:0/c", "port"},
      {"mysql://a@b:66000/c", "port"},
      {"mysql://a@b:x/c", "port"},
      {"mysql://a@[::1/c", "]"},
      {"mysql://a@[::1]x/c", ":"},
      {"mysql://a@b c/d", "bad host"},
  };
  for (const auto& [url, word] : cases) {
    const auto target = ParseTarget(url);
    EXPECT_EQ(target.status().code(), absl::StatusCode::kInvalidArgument) << url;
    EXPECT_NE(base::Message(target.status()).find(word), std::string_view::npos)
        << url << ": " << target.status();
  }
}

}  // namespace
}  // namespace posthorn::mysql
