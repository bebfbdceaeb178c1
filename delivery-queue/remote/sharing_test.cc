// What next hops share: connections to one address, and bodies.

#include <gmock/gmock.h>

#include "delivery-queue/remote/next_hop.h"
#include "delivery-queue/remote/places.h"
#include "delivery-queue/remote/remote_fixture.h"
#include "delivery-queue/remote/shared_bodies.h"

namespace posthorn::delivery_queue {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = RemoteOutcome::Kind;

class SharingTest : public RemoteTest {
 protected:
  void AllowConnections(size_t most) {
    settings_.max_connections = most;
    settings_.patience.idle = std::chrono::hours(1);
    delivery_->Configure(settings_);
  }
  void AddDomain(const std::string& domain) { resolver_.AddMx(domain, 10, "mx.far.test"); }
};

TEST_F(SharingTest, ManyDomainsAtOneAddressAreOneDestination) {
  AllowConnections(3);
  for (int domain = 0; domain < 20; ++domain) AddDomain(base::StrCat("d", domain, ".test"));
  for (int i = 0; i < 100; ++i) Submit(Message({base::StrCat("r", i, "@d", i % 20, ".test")}));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(100));
  EXPECT_LE(sink_.most_open, 3);
}

TEST_F(SharingTest, ARouteHasTheSameLimit) {
  AllowConnections(2);
  settings_.routes = {{"*", {{"127.0.0.1", sink_.port()}}, "", "", Security::kNone}};
  delivery_->Configure(settings_);
  for (int i = 0; i < 50; ++i) Submit(Message({base::StrCat("r", i, "@d", i % 20, ".test")}));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(50));
  EXPECT_LE(sink_.most_open, 2);
}

TEST_F(SharingTest, NoDomainWaitsForAllOfAnother) {
  AllowConnections(1);
  AddDomain("small.test");
  for (int i = 0; i < 250; ++i) Submit(Message({base::StrCat("r", i, "@far.test")}));
  Submit(Message({"a@small.test"}));
  Run();
  const auto found = std::ranges::find(sink_.mails, "RCPT TO:<a@small.test>",
                                       [](const SmtpSink::Mail& mail) { return mail.to.front(); });
  EXPECT_LE(found - sink_.mails.begin(), 100);
  EXPECT_THAT(sink_.mails, SizeIs(251));
  EXPECT_EQ(sink_.most_open, 1);
}

TEST_F(SharingTest, ASessionThatIdlesMakesRoom) {
  AllowConnections(1);
  AddDomain("other.test");
  EXPECT_EQ(Send("a@far.test").kind, Kind::kSent);
  EXPECT_EQ(Send("b@other.test").kind, Kind::kSent);
  EXPECT_EQ(Send("c@far.test").kind, Kind::kSent);
  EXPECT_EQ(sink_.most_open, 1);
}

TEST_F(SharingTest, AHostThatRefusesKeepsNobodyInLine) {
  AllowConnections(1);
  sink_.greeting = "421 too busy";
  for (int domain = 0; domain < 5; ++domain) AddDomain(base::StrCat("d", domain, ".test"));
  for (int i = 0; i < 20; ++i) Submit(Message({base::StrCat("r", i, "@d", i % 5, ".test")}));
  Run();
  EXPECT_EQ(outcomes_["r7@d2.test"].reply, "421 too busy");
}

TEST(Places, AreGivenToThoseInLineInOrder) {
  net::Loop loop;
  std::vector<std::string> called;
  std::vector<Place> given;
  const auto places =
      std::make_shared<Places>(1, [&](const std::shared_ptr<NextHop>& hop, Place place) {
        called.push_back(hop->key());
        given.push_back(std::move(place));
      });
  const auto entry = std::make_shared<queue::v1::StoredEntry>();
  entry->mutable_entry()->add_recipients();
  const auto hop = [&](const std::string& key) {
    auto made = std::make_shared<NextHop>(loop, key, key);
    made->Add({entry, {0}, key, [](int, const RemoteOutcome&) {}});
    return made;
  };
  const auto a = hop("a");
  const auto b = hop("b");
  const auto c = hop("c");
  const auto d = hop("d");
  std::optional<Place> place = places->Enter("x", a);
  ASSERT_TRUE(place);
  EXPECT_TRUE(places->Enter("y", a));
  EXPECT_FALSE(places->Enter("x", b));
  EXPECT_FALSE(places->Enter("x", b));  // stands there already
  EXPECT_FALSE(places->Enter("x", c));
  EXPECT_FALSE(places->Enter("x", d));
  EXPECT_TRUE(places->Crowded("x"));
  static_cast<void>(c->TakeAll());  // needs none any more
  place.reset();
  EXPECT_THAT(called, ElementsAre("b"));
  std::exchange(given, {}).clear();
  EXPECT_THAT(called, ElementsAre("b", "d"));
  EXPECT_FALSE(places->Crowded("x"));
  EXPECT_FALSE(places->Enter("x", a));
  places->SetLimit(2);
  EXPECT_THAT(called, ElementsAre("b", "d", "a"));
}

TEST_F(SharingTest, TheBodyIsReadOnceForAllNextHops) {
  for (const char* domain : {"one.test", "two.test", "three.test"}) AddDomain(domain);
  Submit(Message({"a@one.test", "b@two.test", "c@three.test", "d@far.test"}));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(4));
  for (const SmtpSink::Mail& mail : sink_.mails) EXPECT_EQ(mail.data, sink_.mails[0].data);
  EXPECT_EQ(bodies_.opened, 1);
}

TEST_F(SharingTest, TheBodyIsReadOnceForManyRecipients) {
  std::vector<std::string> recipients;
  for (int i = 0; i < 250; ++i) recipients.push_back(base::StrCat("r", i, "@far.test"));
  Submit(Message(recipients));
  Run();
  EXPECT_THAT(sink_.mails, SizeIs(3));
  EXPECT_EQ(bodies_.opened, 1);
}

TEST_F(SharingTest, ABodyThatCouldNotBeReadIsReadAgain) {
  AddDomain("one.test");
  bodies_.failure = base::Unavailable("store away");
  bodies_.good = 1;
  Submit(Message({"a@one.test", "d@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["a@one.test"].status, "4.3.0");
  EXPECT_EQ(outcomes_["d@far.test"].status, "4.3.0");
  EXPECT_THAT(sink_.mails, IsEmpty());
  bodies_.failure = absl::OkStatus();
  Submit(Message({"a@one.test", "d@far.test"}));
  Run();
  EXPECT_EQ(outcomes_["a@one.test"].kind, Kind::kSent);
  EXPECT_EQ(outcomes_["d@far.test"].kind, Kind::kSent);
  EXPECT_THAT(sink_.mails, SizeIs(2));
}

// A source whose streams end when the test says so.
class SlowBodies : public Bodies {
 public:
  explicit SlowBodies(net::Loop& loop) : go(loop) {}
  std::unique_ptr<BodyStream> Open(uint64_t key, uint64_t) override {
    opened.push_back(key);
    return std::make_unique<Stream>(*this);
  }
  net::Signal go;
  bool going = false;
  std::vector<uint64_t> opened;

 private:
  class Stream : public BodyStream {
   public:
    explicit Stream(SlowBodies& owner) : owner_(owner) {}
    net::Task<absl::StatusOr<std::string>> Next() override {
      while (!owner_.going) co_await owner_.go.Wait();
      co_return std::exchange(done_, true) ? std::string() : std::string("text");
    }

   private:
    SlowBodies& owner_;
    bool done_ = false;
  };
};

net::Task<void> ReadAll(Bodies& bodies, uint64_t key, uint64_t size, std::string& out, int& done) {
  const std::unique_ptr<BodyStream> stream = bodies.Open(key, size);
  for (;;) {
    const absl::StatusOr<std::string> chunk = co_await stream->Next();
    if (!chunk.ok() || chunk->empty()) break;
    out += *chunk;
  }
  ++done;
}

net::Task<void> LetGo(net::Loop& loop, SlowBodies& source, int& done, int all) {
  source.going = true;
  source.go.NotifyAll();
  while (done < all) co_await net::Sleep(loop, std::chrono::milliseconds(1));
}

TEST(SharedBodies, ReadersAtTheSameTimeShareOneReading) {
  net::Loop loop;
  SlowBodies source(loop);
  SharedBodies bodies(loop, source);
  std::string texts[4];
  int done = 0;
  loop.Spawn("a", ReadAll(bodies, 1, 4, texts[0], done));
  loop.Spawn("b", ReadAll(bodies, 1, 4, texts[1], done));
  loop.Spawn("c", ReadAll(bodies, 2, 4, texts[2], done));
  loop.Spawn("d", ReadAll(bodies, 3, SharedBodies::kSmall + 1, texts[3], done));
  testing::RunTask(loop, LetGo(loop, source, done, 4));
  EXPECT_THAT(texts, ElementsAre("text", "text", "text", "text"));
  EXPECT_THAT(source.opened, ::testing::UnorderedElementsAre(1, 2, 3));
}

TEST(SharedBodies, KeepNoMoreThanTheirLimit) {
  net::Loop loop;
  SlowBodies source(loop);
  SharedBodies bodies(loop, source);
  source.going = true;
  std::string text;
  int done = 0;
  const uint64_t many = SharedBodies::kKept / SharedBodies::kSmall;
  for (uint64_t key = 0; key <= many; ++key)
    testing::RunTask(loop, ReadAll(bodies, key, SharedBodies::kSmall, text, done));
  testing::RunTask(loop, ReadAll(bodies, many, SharedBodies::kSmall, text, done));
  EXPECT_THAT(source.opened, SizeIs(many + 1));
  testing::RunTask(loop, ReadAll(bodies, 0, SharedBodies::kSmall, text, done));
  EXPECT_THAT(source.opened, SizeIs(many + 2));
}

}  // namespace
}  // namespace posthorn::delivery_queue
