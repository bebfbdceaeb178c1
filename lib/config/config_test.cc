#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/config/forms.h"
#include "lib/config/objects.h"
#include "lib/config/schema.h"
#include "lib/config/snapshot.h"
#include "lib/config/units.h"
#include "lib/config/values.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StrEq;

std::string Set(google::protobuf::Message& object, std::string_view field, std::string_view text) {
  const auto* descriptor = object.GetDescriptor()->FindFieldByName(std::string(field));
  if (descriptor == nullptr) return "no such field";
  const absl::Status status = SetText(object, *descriptor, text);
  return std::string(base::Message(status));
}
std::string Text(const google::protobuf::Message& object, std::string_view field) {
  return ToText(object, *object.GetDescriptor()->FindFieldByName(std::string(field)));
}

TEST(Schema, KindsAreWhateverHasTheOption) {
  for (const char* word : {"settings", "domain", "account", "alias", "listener", "certificate",
                           "network", "administrator", "route", "dnsbl"}) {
    EXPECT_NE(Schema::Generated().Find(word), nullptr) << word;
  }
  EXPECT_EQ(Schema::Generated().Find("posthorn.config.v1.KindOptions"), nullptr);
}

TEST(Schema, OwnKindsAreWithoutMistakes) { EXPECT_THAT(Schema::Generated().Mistakes(), IsEmpty()); }

TEST(Schema, UnknownKindNamesTheNearest) {
  EXPECT_THAT(std::string(base::Message(Schema::Generated().Lookup("acount").status())),
              HasSubstr("\"account\"?"));
}

TEST(Schema, UnknownFieldNamesTheNearest) {
  const Kind* kind = Schema::Generated().Find("listener");
  EXPECT_THAT(std::string(base::Message(FieldOf(*kind, "max_conections").status())),
              HasSubstr("did you mean \"max_connections\"?"));
}

TEST(Schema, TravelsAsAFileSet) {
  const auto copy = Schema::FromFileSet(Schema::Generated().FileSet());
  ASSERT_TRUE(copy.ok()) << base::Message(copy.status());
  EXPECT_EQ((*copy)->kinds().size(), Schema::Generated().kinds().size());
  auto object = (*copy)->New(*(*copy)->Find("settings"));
  ApplyDefaults(*object, Profile::kModern, Age::kNew);
  EXPECT_EQ(Text(*object, "max_message_size"), "50 MiB");
}

TEST(Units, DurationsAndSizes) {
  EXPECT_EQ(ParseDuration("30s"), 30u);
  EXPECT_EQ(ParseDuration("1h30m"), 5400u);
  EXPECT_EQ(ParseDuration("7d"), 604800u);
  EXPECT_EQ(ParseDuration("5 m"), 300u);
  EXPECT_EQ(ParseDuration("90"), 90u);
  EXPECT_FALSE(ParseDuration("").has_value());
  EXPECT_FALSE(ParseDuration("5x").has_value());
  EXPECT_FALSE(ParseDuration("99999999999999999w").has_value());
  EXPECT_EQ(ParseSize("25 MiB"), 26214400u);
  EXPECT_EQ(ParseSize("2gb"), 2000000000u);
  EXPECT_EQ(ParseSize("10"), 10u);
  EXPECT_FALSE(ParseSize("MiB").has_value());
  EXPECT_EQ(DurationText(300), "5m");
  EXPECT_EQ(DurationText(90), "90s");
  EXPECT_EQ(DurationText(14 * 86400), "14d");
  EXPECT_EQ(SizeText(26214400), "25 MiB");
  EXPECT_EQ(SizeText(1000), "1000");
}

TEST(Forms, DomainsAreLowerCaseALabels) {
  EXPECT_EQ(NormalDomain("Example.ORG.").value(), "example.org");
  EXPECT_EQ(NormalDomain("Bücher.example").value(), "xn--bcher-kva.example");
  for (const char* bad : {"", ".", "a..b", "-a.example", "a b", "exa mple.org", "a@b"}) {
    EXPECT_FALSE(NormalDomain(bad).ok()) << bad;
  }
}

TEST(Forms, Addresses) {
  EXPECT_EQ(NormalAddress("Alice@Example.ORG").value(), "alice@example.org");
  for (const char* bad :
       {"alice", "@example.org", "a b@example.org", "a@", ".a@example.org", "a..b@example.org"}) {
    EXPECT_FALSE(NormalAddress(bad).ok()) << bad;
  }
}

TEST(Forms, Networks) {
  EXPECT_EQ(NormalNetwork("192.0.2.1").value(), "192.0.2.1/32");
  EXPECT_EQ(NormalNetwork("2001:DB8::/32").value(), "2001:db8::/32");
  for (const char* bad : {"192.0.2.1/24", "192.0.2.0/33", "host", "1.2.3.4/x", ""}) {
    EXPECT_FALSE(NormalNetwork(bad).ok()) << bad;
  }
}

TEST(Forms, HostsWithPorts) {
  EXPECT_EQ(NormalHostPort("Relay.example:587").value(), "relay.example:587");
  EXPECT_EQ(NormalHostPort("192.0.2.1").value(), "192.0.2.1");
  EXPECT_EQ(NormalHostPort("[2001:db8::1]:25").value(), "[2001:db8::1]:25");
  EXPECT_FALSE(NormalHostPort("relay.example:0").ok());
  EXPECT_FALSE(NormalHostPort("[2001:db8::1").ok());
}

TEST(Values, EveryTypeReadsItsTextForm) {
  v1::Settings settings;
  EXPECT_EQ(Set(settings, "max_message_size", "25 MiB"), "");
  EXPECT_EQ(settings.max_message_size(), 26214400u);
  EXPECT_EQ(Set(settings, "retry_schedule", "5m, 1h"), "");
  EXPECT_THAT(settings.retry_schedule(), ElementsAre(300, 3600));
  EXPECT_EQ(Set(settings, "spf", "off"), "");
  EXPECT_TRUE(settings.has_spf());
  EXPECT_FALSE(settings.spf());
  EXPECT_EQ(Set(settings, "spam_mark_score", "4.5"), "");
  EXPECT_EQ(Text(settings, "spam_mark_score"), "4.5");
  v1::Listener listener;
  EXPECT_EQ(Set(listener, "protocol", "imap"), "");
  EXPECT_EQ(listener.protocol(), v1::IMAP);
  EXPECT_THAT(Set(listener, "protocol", "IMPA"), HasSubstr("did you mean IMAP?"));
  EXPECT_THAT(Set(listener, "port", "many"), HasSubstr("expected a whole number"));
}

TEST(Values, ListsGrowAndShrinkByElement) {
  v1::Domain domain;
  const auto& field = *domain.GetDescriptor()->FindFieldByName("alias_names");
  ASSERT_TRUE(AddElement(domain, field, "A.example").ok());
  ASSERT_TRUE(AddElement(domain, field, "b.example").ok());
  ASSERT_TRUE(AddElement(domain, field, "a.example").ok());
  EXPECT_THAT(domain.alias_names(), ElementsAre("a.example", "b.example"));
  ASSERT_TRUE(RemoveElement(domain, field, "A.EXAMPLE").ok());
  EXPECT_THAT(domain.alias_names(), ElementsAre("b.example"));
  EXPECT_FALSE(RemoveElement(domain, field, "c.example").ok());
}

TEST(Objects, NewOnesHaveTheirDefaults) {
  v1::Settings settings;
  ApplyDefaults(settings, Profile::kModern, Age::kNew);
  EXPECT_EQ(settings.max_recipients(), 1000u);
  EXPECT_EQ(settings.smtp_command_timeout(), 300u);
  EXPECT_THAT(settings.retry_schedule(), ElementsAre(300, 600, 1800, 3600, 7200, 14400));
  EXPECT_TRUE(settings.spf());
}

TEST(Objects, AStoredZeroIsNotReplacedByADefault) {
  v1::Settings settings;
  settings.set_spf(false);
  ApplyDefaults(settings, Profile::kModern, Age::kStored);
  EXPECT_FALSE(settings.spf());
  EXPECT_EQ(settings.max_recipients(), 1000u);
}

TEST(Objects, EveryViolationIsNamed) {
  v1::Listener listener;
  listener.set_name("Not Good");
  listener.set_port(70000);
  const absl::Status status = Validate(*Schema::Generated().Find("listener"), listener);
  const std::string text(base::Message(status));
  EXPECT_THAT(text, HasSubstr("listener.name: \"Not Good\" does not match"));
  EXPECT_THAT(text, HasSubstr("listener.port: must be at most 65535"));
  EXPECT_THAT(text, HasSubstr("listener.protocol: is required"));
}

TEST(Objects, SecretsAreMaskedAndComeBack) {
  v1::Route stored;
  stored.set_domain("*");
  stored.set_password("hunter2");
  v1::Route shown = stored;
  MaskSecrets(shown);
  EXPECT_EQ(shown.password(), kMask);
  RestoreMasked(shown, &stored);
  EXPECT_EQ(shown.password(), "hunter2");
  v1::Account account;
  account.set_password("hunter2");
  MaskSecrets(account);
  EXPECT_THAT(account.password(), IsEmpty());
}

TEST(Objects, DifferencesAreFieldByFieldWithoutSecrets) {
  v1::Route before;
  before.set_domain("*");
  before.set_password("one");
  v1::Route after = before;
  after.set_password("two");
  after.add_hosts("relay.example");
  const auto differences = Compare(&before, &after);
  ASSERT_EQ(differences.size(), 2u);
  EXPECT_EQ(differences[0].field, "hosts");
  EXPECT_EQ(differences[0].after, "relay.example");
  EXPECT_EQ(differences[1].field, "password");
  EXPECT_EQ(differences[1].before, kMask);
  EXPECT_EQ(differences[1].after, kMask);
}

TEST(Snapshot, AnEmptyOneHasDefaults) {
  const Snapshot snapshot;
  EXPECT_EQ(snapshot.Get<v1::Settings>().max_recipients(), 1000u);
  EXPECT_THAT(snapshot.All<v1::Listener>(), IsEmpty());
}

admin::v1::WatchReply ListenerReply(uint64_t revision, std::string_view name, uint32_t port) {
  admin::v1::WatchReply reply;
  reply.set_revision(revision);
  v1::Listener listener;
  listener.set_name(std::string(name));
  listener.set_port(port);
  auto* object = reply.add_objects();
  object->set_kind("posthorn.config.v1.Listener");
  object->set_name(std::string(name));
  object->set_data(listener.SerializeAsString());
  return reply;
}

TEST(Snapshot, DeltasMakeANewOneAndLeaveTheOldAlone) {
  const Snapshot empty;
  const auto one = empty.With(ListenerReply(7, "smtp", 25));
  auto removal = ListenerReply(8, "smtp", 25);
  removal.mutable_objects(0)->set_removed(true);
  const auto two = one->With(removal);
  EXPECT_EQ(one->revision(), 7u);
  ASSERT_NE(one->Find<v1::Listener>("smtp"), nullptr);
  EXPECT_EQ(one->Find<v1::Listener>("smtp")->address(), "::") << "a default that was not stored";
  EXPECT_EQ(two->Find<v1::Listener>("smtp"), nullptr);
  EXPECT_THAT(two->All<v1::Listener>(), IsEmpty());
}

TEST(Snapshot, SurvivesItsFileForm) {
  const auto snapshot = Snapshot().With(ListenerReply(7, "smtp", 25));
  const auto read = Snapshot::Parse(snapshot->Serialize());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)->revision(), 7u);
  EXPECT_EQ((*read)->All<v1::Listener>().size(), 1u);
  EXPECT_FALSE(Snapshot::Parse("garbage").ok());
}

TEST(Snapshot, UnknownKindsOfANewerReleaseAreSkipped) {
  auto reply = ListenerReply(3, "smtp", 25);
  reply.mutable_objects(0)->set_kind("posthorn.config.v9.Thing");
  EXPECT_EQ(Snapshot().With(reply)->revision(), 3u);
}

}  // namespace
}  // namespace posthorn::config
