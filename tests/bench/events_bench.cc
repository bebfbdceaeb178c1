// CPU of recording trace events, and the time of a search among them.
// usage: events_bench [DIRECTORY] [EVENTS]

#include <sys/resource.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "posthorn/common/v1/common.pb.h"
#include "store-service/events/event_store.h"

namespace posthorn {
namespace {

using common::v1::Event;

int64_t CpuMicros() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

Event Made(int number) {
  Event event;
  event.set_time_ms(static_cast<uint64_t>(base::WallMillis()));
  event.set_message_id(std::string(base::MessageId::New().bytes()));
  event.set_step(number % 3 == 0 ? Event::ACCEPTED : Event::STORED);
  event.set_origin("smtp-gateway@host.example");
  if (number % 3 == 0) {
    event.set_sender(base::StrCat("sender", number, "@example.org"));
    event.set_subject("Minutes of the meeting about the next meeting");
    event.set_header_message_id(base::StrCat("<", number, ".abcdef@client.example>"));
  }
  event.add_recipients(base::StrCat("user", number % 1000, "@example.com"));
  event.set_recipient_count(1);
  event.set_size(4096);
  return event;
}

void Search(store_service::EventStore& store, const char* what,
            const store_service::EventQuery& query) {
  const int64_t began = base::MonotonicMicros();
  const auto found = store.Search(query);
  std::printf("search by %s: %.1f ms, %zu events\n", what,
              static_cast<double>(base::MonotonicMicros() - began) / 1e3,
              found.ok() ? found->events.size() : 0);
}

int Main(const std::string& directory, int count) {
  std::filesystem::remove_all(directory);
  auto store = store_service::OpenEventStore(
      {.directory = directory, .most_waiting = static_cast<size_t>(count)});
  if (!store.ok()) return 1;
  std::vector<Event> events;
  for (int i = 0; i < count; ++i) events.push_back(Made(i));
  const std::string some_id = events[static_cast<size_t>(count) / 2].message_id();
  const int64_t cpu = CpuMicros();
  for (size_t at = 0; at < events.size(); at += 20) {
    const auto begin = events.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = events.begin() + static_cast<std::ptrdiff_t>(std::min(at + 20, events.size()));
    (*store)->Record({std::make_move_iterator(begin), std::make_move_iterator(end)});
  }
  (void)(*store)->Search({.message_id = "0123456789abcdef"});  // waits until all is written
  std::printf("%d events: %.2f CPU us each\n", count,
              static_cast<double>(CpuMicros() - cpu) / count);
  Search(**store, "message", {.message_id = some_id});
  Search(**store, "address", {.address = "sender3000@example.org"});
  Search(**store, "part of a word", {.text = "eetin"});
  store->reset();
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace posthorn

int main(int argc, char** argv) {
  return posthorn::Main(argc > 1 ? argv[1] : "/tmp/posthorn_events_bench",
                        argc > 2 ? std::stoi(argv[2]) : 200'000);
}
