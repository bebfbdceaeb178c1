#include "lib/config/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view yaml) {
  return std::string(base::Message(ParseDocuments(Schema::Generated(), yaml).status()));
}

TEST(Documents, SeveralInOneTextAndInLists) {
  const auto documents =
      ParseDocuments(Schema::Generated(),
                     "kind: domain\nname: Example.ORG\nalias_names: [a.example, b.example]\n"
                     "---\n"
                     "- kind: settings\n  max_message_size: 25 MiB\n"
                     "- kind: account\n  name: Bob@example.org\n");
  ASSERT_TRUE(documents.ok()) << base::Message(documents.status());
  ASSERT_EQ(documents->size(), 3u);
  EXPECT_EQ((*documents)[0].name, "example.org");
  EXPECT_EQ((*documents)[1].name, "default");
  EXPECT_EQ((*documents)[2].name, "bob@example.org")
      << "name is the key, whatever the field is called";
  v1::Domain domain;
  ASSERT_TRUE(Fill((*documents)[0], domain).ok());
  EXPECT_THAT(domain.alias_names(), ElementsAre("a.example", "b.example"));
}

TEST(Documents, MistakesHaveLineAndColumn) {
  EXPECT_EQ(ErrorOf("kind: domain\nname: example.org\nenabeld: true\n"),
            "3:1: unknown field \"enabeld\" of domain; did you mean \"enabled\"?");
  EXPECT_THAT(ErrorOf("kind: domian\nname: x\n"),
              HasSubstr("1:7: no kind \"domian\"; did you mean \"domain\"?"));
  EXPECT_THAT(ErrorOf("kind: listener\nname: smtp\nport: many\n"),
              HasSubstr("3:7: port: expected a whole number"));
  EXPECT_THAT(ErrorOf("kind: [\n"), HasSubstr("2:1: "));
  EXPECT_THAT(ErrorOf("kind: domain\n"), HasSubstr("expected \"name:\""));
  EXPECT_THAT(ErrorOf("just words\n"), HasSubstr("expected an object"));
  EXPECT_THAT(ErrorOf("kind: domain\nname: [a, b]\n"), HasSubstr("holds one value"));
}

TEST(Documents, AllMistakesAreToldAtOnce) {
  const std::string error =
      ErrorOf("kind: listener\nname: smtp\nport: many\nprotocol: IMPA\nfoo: 1\n");
  EXPECT_THAT(error, HasSubstr("foo"));
  EXPECT_THAT(ErrorOf("kind: listener\nname: smtp\nport: many\nprotocol: IMPA\n"),
              HasSubstr("4:11: protocol:"));
}

TEST(Documents, YamlOutComesBackTheSame) {
  v1::Route route;
  route.set_domain("*");
  route.add_hosts("relay.example:587");
  route.set_user("a: \"b\" # c");
  route.set_tls(v1::NONE);
  const Kind& kind = *Schema::Generated().Find("route");
  const auto documents = ParseDocuments(Schema::Generated(), ToYaml(kind, route));
  ASSERT_TRUE(documents.ok()) << base::Message(documents.status()) << ToYaml(kind, route);
  v1::Route read;
  ASSERT_TRUE(Fill(documents->front(), read).ok());
  EXPECT_EQ(read.SerializeAsString(), route.SerializeAsString());
}

TEST(Documents, JsonIsYamlToo) {
  const auto documents =
      ParseDocuments(Schema::Generated(), "{\"kind\": \"network\", \"network\": \"192.0.2.0/24\"}");
  ASSERT_TRUE(documents.ok()) << base::Message(documents.status());
  EXPECT_EQ(documents->front().name, "192.0.2.0/24");
}

TEST(Documents, JsonKeepsFieldNames) {
  v1::Domain domain;
  domain.set_name("example.org");
  domain.set_enabled(false);
  const std::string json = ToJson(domain);
  EXPECT_THAT(json, HasSubstr("\"catch_all\":\"\""));
  EXPECT_THAT(json, HasSubstr("\"enabled\":false"));
  v1::Domain read;
  ASSERT_TRUE(FromJson(json, read).ok());
  EXPECT_EQ(read.SerializeAsString(), domain.SerializeAsString());
}

}  // namespace
}  // namespace posthorn::config
