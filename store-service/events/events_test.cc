#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/file/faults.h"
#include "posthorn/common/v1/common.pb.h"
#include "store-service/events/event_file.h"
#include "store-service/events/event_store.h"

namespace posthorn::store_service {
namespace {

using common::v1::Event;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/posthorn_events_XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_ + "/events"; }
  std::string OnlyFile() const {
    return std::filesystem::directory_iterator(path())->path().string();
  }

 private:
  std::string path_;
};

std::string Id(int number) {
  std::string id(16, '\0');
  id[14] = static_cast<char>(number >> 8);
  id[15] = static_cast<char>(number);
  return id;
}

Event Accepted(int number, const std::string& from, const std::string& to,
               const std::string& subject, int64_t time_ms) {
  Event event;
  event.set_message_id(Id(number));
  event.set_step(Event::ACCEPTED);
  event.set_time_ms(static_cast<uint64_t>(time_ms));
  event.set_sender(from);
  event.add_recipients(to);
  event.set_subject(subject);
  event.set_header_message_id(base::StrCat("<", number, "@client.example>"));
  return event;
}
Event Step(int number, Event::Step step, int64_t time_ms) {
  Event event;
  event.set_message_id(Id(number));
  event.set_step(step);
  event.set_time_ms(static_cast<uint64_t>(time_ms));
  return event;
}

std::unique_ptr<EventStore> OpenStore(const Folder& folder) {
  auto store = OpenEventStore({.directory = folder.path()});
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

// Messages 1 to 500 from user N to friend N, each accepted at N*10 and stored at N*10+5.
void RecordMany(EventStore& store) {
  for (int i = 1; i <= 500; ++i) {
    store.Record(
        {Accepted(i, base::StrCat("User", i, "@Sender.example"),
                  base::StrCat("friend", i % 50, "@here.example"),
                  base::StrCat("Quarterly report number", i, " of marvellous sales"), i * 10),
         Step(i, Event::STORED, i * 10 + 5)});
  }
}

std::vector<uint64_t> Times(const EventResult& result) {
  std::vector<uint64_t> times;
  for (const Event& event : result.events) times.push_back(event.time_ms());
  return times;
}

TEST(EventStore, FindsTheWholeStoryByMessageAlsoAfterRestart) {
  const Folder folder;
  auto store = OpenStore(folder);
  RecordMany(*store);
  for (int round = 0; round < 2; ++round) {
    const EventResult found = store->Search({.message_id = Id(77)}).value();
    EXPECT_EQ(Times(found), std::vector<uint64_t>({770, 775}));
    EXPECT_EQ(found.events[0].subject(), "Quarterly report number77 of marvellous sales");
    EXPECT_FALSE(found.truncated);
    EXPECT_TRUE(store->Search({.message_id = Id(501)}).value().events.empty());
    store.reset();
    store = OpenStore(folder);
  }
}

TEST(EventStore, FindsByAddressInAnyCaseAndBringsAllEventsOfTheMessages) {
  const Folder folder;
  const auto store = OpenStore(folder);
  RecordMany(*store);
  EXPECT_EQ(Times(store->Search({.address = "user9@SENDER.example"}).value()),
            std::vector<uint64_t>({90, 95}));
  EXPECT_EQ(store->Search({.address = "FRIEND7@here.example"}).value().events.size(), 20U);
  EXPECT_EQ(store->Search({.address = "@sender.example"}).value().events.size(), 1'000U);
  EXPECT_TRUE(store->Search({.address = "friend7@elsewhere.example"}).value().events.empty());
}

TEST(EventStore, FindsBySubjectWordsPartsOfThemAndMessageIdField) {
  const Folder folder;
  const auto store = OpenStore(folder);
  RecordMany(*store);
  EXPECT_EQ(Times(store->Search({.text = "report NUMBER321 of"}).value()),
            std::vector<uint64_t>({3'210, 3'215}));
  EXPECT_EQ(Times(store->Search({.text = "<42@client.example>"}).value()),
            std::vector<uint64_t>({420, 425}));
  EXPECT_EQ(store->Search({.text = "arvello", .limit = 5'000}).value().events.size(), 1'000U);
  EXPECT_TRUE(store->Search({.text = "quarterly nonsense"}).value().events.empty());
}

TEST(EventStore, TimeRangeAndLimitKeepWholeNewestMessages) {
  const Folder folder;
  const auto store = OpenStore(folder);
  RecordMany(*store);
  EXPECT_EQ(Times(store->Search({.from_ms = 100, .to_ms = 120}).value()),
            std::vector<uint64_t>({100, 105, 110, 115, 120}));
  const EventResult few = store->Search({.address = "@here.example", .limit = 5}).value();
  EXPECT_TRUE(few.truncated);
  EXPECT_EQ(Times(few), std::vector<uint64_t>({4'990, 4'995, 5'000, 5'005}));
  // The message was accepted in the range, so its whole story is told.
  EXPECT_EQ(
      Times(store->Search({.address = "@here.example", .from_ms = 200, .to_ms = 202}).value()),
      std::vector<uint64_t>({200, 205}));
}

TEST(EventStore, MessageBringsWhatItBegot) {
  const Folder folder;
  const auto store = OpenStore(folder);
  Event bounce = Step(2, Event::QUEUED, 20);
  bounce.set_parent_id(Id(1));
  store->Record({Step(1, Event::ACCEPTED, 10), bounce, Step(3, Event::QUEUED, 30)});
  EXPECT_EQ(Times(store->Search({.message_id = Id(1)}).value()), std::vector<uint64_t>({10, 20}));
}

TEST(EventStore, TornTailIsDroppedAndTheRestIsFound) {
  const Folder folder;
  auto store = OpenStore(folder);
  store->Record({Step(1, Event::ACCEPTED, 10)});
  ASSERT_EQ(store->Search({}).value().events.size(), 1U);
  const uint64_t first_block = std::filesystem::file_size(folder.OnlyFile());
  store->Record({Step(2, Event::ACCEPTED, 20)});
  store.reset();
  const std::string file = folder.OnlyFile();
  const uint64_t size = std::filesystem::file_size(file);
  for (uint64_t cut = size - 1; cut >= first_block; --cut) {
    std::filesystem::resize_file(file, cut);
    store = OpenStore(folder);
    EXPECT_EQ(Times(store->Search({}).value()), std::vector<uint64_t>({10})) << cut;
  }
  store->Record({Step(3, Event::ACCEPTED, 30)});
  EXPECT_EQ(Times(store->Search({}).value()), std::vector<uint64_t>({10, 30}));
}

TEST(EventStore, DamageInTheMiddleCostsOneBlock) {
  const Folder folder;
  auto store = OpenStore(folder);
  std::vector<uint64_t> ends;
  for (int i = 1; i <= 3; ++i) {
    store->Record({Step(i, Event::ACCEPTED, i * 10)});
    ASSERT_TRUE(store->Search({}).ok());
    ends.push_back(std::filesystem::file_size(folder.OnlyFile()));
  }
  for (uint64_t at = ends[0]; at < ends[1]; ++at) {
    std::fstream file(folder.OnlyFile());
    file.seekg(static_cast<std::streamoff>(at));
    const char was = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(was ^ 0x55));
    file.flush();
    const std::vector<uint64_t> times = Times(store->Search({}).value());
    // A damaged filter costs nothing.
    EXPECT_TRUE(times == std::vector<uint64_t>({10, 30}) ||
                times == std::vector<uint64_t>({10, 20, 30}))
        << at;
    file.seekp(static_cast<std::streamoff>(at));
    file.put(was);
  }
  EXPECT_EQ(store->Search({}).value().events.size(), 3U);
}

TEST(EventStore, OldDaysAreRemoved) {
  const Folder folder;
  auto store = OpenStore(folder);
  const int64_t now = base::WallMillis();
  for (int days = 0; days < 5; ++days) {
    std::ofstream(folder.path() + "/" + DayFileName(now - days * kDayMs));
  }
  store->SetRetention(2);
  ASSERT_TRUE(store->Expire(now).ok());
  EXPECT_TRUE(std::filesystem::exists(folder.path() + "/" + DayFileName(now - 2 * kDayMs)));
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/" + DayFileName(now - 3 * kDayMs)));
}

TEST(EventStore, DiskFullDropsAndCountsAndLaterEventsAreKept) {
  const Folder folder;
  file::Faults faults(file::Real());
  const auto store = OpenEventStore({.directory = folder.path(), .system = &faults}).value();
  faults.DiskFull(10);
  store->Record({Step(1, Event::ACCEPTED, 10)});
  EXPECT_TRUE(store->Search({}).value().events.empty());
  EXPECT_EQ(store->Stats().dropped, 1U);
  faults.Clear();
  store->Record({Step(2, Event::ACCEPTED, 20)});
  EXPECT_EQ(Times(store->Search({}).value()), std::vector<uint64_t>({20}));
}

TEST(DayFile, NamesAreDaysInUtc) {
  EXPECT_EQ(DayFileName(0), "1970-01-01.events");
  EXPECT_EQ(DayFileName(1'582'934'400'000), "2020-02-29.events");
  EXPECT_EQ(DayOfFileName("2020-02-29.events"), 1'582'934'400'000 / kDayMs);
  EXPECT_EQ(DayOfFileName("2021-02-29.events"), -1);
  EXPECT_EQ(DayOfFileName("segments.table"), -1);
}

}  // namespace
}  // namespace posthorn::store_service
