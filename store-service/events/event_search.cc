#include "store-service/events/event_search.h"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_set>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "posthorn/common/v1/common.pb.h"
#include "store-service/events/event_file.h"

namespace posthorn::store_service {
namespace {

using common::v1::Event;

constexpr uint32_t kDefaultLimit = 1'000;
// What is held in memory at most, whatever was asked for.
constexpr size_t kMostEvents = 50'000;

bool AddressMatches(std::string_view address, std::string_view wanted) {
  if (wanted.starts_with('@')) {
    return address.size() >= wanted.size() &&
           base::EqualsIgnoreCase(address.substr(address.size() - wanted.size()), wanted);
  }
  return base::EqualsIgnoreCase(address, wanted);
}

enum class Filters { kUse, kIgnore };

class Searcher {
 public:
  Searcher(file::FileSystem& system, const std::string& directory, const EventQuery& query)
      : system_(system),
        directory_(directory),
        query_(query),
        limit_(query.limit == 0 ? kDefaultLimit : query.limit),
        to_ms_(query.to_ms == 0 ? std::numeric_limits<int64_t>::max() : query.to_ms) {}

  absl::StatusOr<EventResult> Run();

 private:
  using Wanted = std::function<bool(const BlockPlace&)>;
  using Visit = std::function<bool(Event&&)>;  // false: enough
  absl::Status Blocks(const Wanted& wanted, const Visit& visit);
  absl::StatusOr<bool> BlocksOf(const std::string& name, const Wanted& wanted, const Visit& visit);
  bool InTime(const BlockPlace& place) const {
    return place.header.max_ms >= query_.from_ms && place.header.min_ms <= to_ms_;
  }
  bool InTime(const Event& event) const {
    const auto time = static_cast<int64_t>(event.time_ms());
    return time >= query_.from_ms && time <= to_ms_;
  }
  bool MayMatch(const BlockPlace& place, Filters filters) const;
  bool Matches(const Event& event) const;
  absl::Status FindMessages(Filters filters);
  absl::Status CollectStories();
  absl::Status CollectDirectly();
  EventResult Chosen();

  file::FileSystem& system_;
  const std::string& directory_;
  const EventQuery& query_;
  const uint32_t limit_;
  const int64_t to_ms_;
  std::unordered_set<std::string> messages_;
  std::vector<Event> events_;
  bool truncated_ = false;
};

absl::StatusOr<bool> Searcher::BlocksOf(const std::string& name, const Wanted& wanted,
                                        const Visit& visit) {
  auto opened = system_.Open(base::StrCat(directory_, "/", name), file::Mode::kRead);
  if (opened.status().code() == absl::StatusCode::kNotFound) return true;  // just expired
  RETURN_IF_ERROR(opened.status());
  uint64_t end = 0;
  ASSIGN_OR_RETURN(std::vector<BlockPlace> places, ListBlocks(**opened, end));
  std::reverse(places.begin(), places.end());
  for (const BlockPlace& place : places) {
    if (!wanted(place)) continue;
    const absl::StatusOr<std::string> payload = ReadPayload(**opened, place);
    if (payload.status().code() == absl::StatusCode::kDataLoss) continue;
    RETURN_IF_ERROR(payload.status());
    std::vector<Event> events;
    ForEachEvent(*payload, [&](Event&& event) { events.push_back(std::move(event)); });
    for (auto event = events.rbegin(); event != events.rend(); ++event) {
      if (!visit(std::move(*event))) return false;
    }
  }
  return true;
}

// Newest first.
absl::Status Searcher::Blocks(const Wanted& wanted, const Visit& visit) {
  ASSIGN_OR_RETURN(std::vector<std::string> names, system_.List(directory_));
  std::reverse(names.begin(), names.end());
  for (const std::string& name : names) {
    if (DayOfFileName(name) < 0) continue;
    ASSIGN_OR_RETURN(const bool go_on, BlocksOf(name, wanted, visit));
    if (!go_on) break;
  }
  return absl::OkStatus();
}

bool Searcher::MayMatch(const BlockPlace& place, Filters filters) const {
  if (!InTime(place)) return false;
  if (!query_.address.empty() && !BloomMayHold(place.bloom, AddressToken(query_.address))) {
    return false;
  }
  if (query_.text.empty() || filters == Filters::kIgnore) return true;
  if (BloomMayHold(place.bloom, HeaderIdToken(query_.text))) return true;
  const std::vector<std::string_view> words = Words(query_.text);
  return !words.empty() && std::all_of(words.begin(), words.end(), [&](std::string_view word) {
    return BloomMayHold(place.bloom, WordToken(word));
  });
}

bool Searcher::Matches(const Event& event) const {
  if (!InTime(event)) return false;
  if (!query_.address.empty()) {
    const bool hit = AddressMatches(event.sender(), query_.address) ||
                     std::any_of(event.recipients().begin(), event.recipients().end(),
                                 [&](const std::string& recipient) {
                                   return AddressMatches(recipient, query_.address);
                                 });
    if (!hit) return false;
  }
  if (query_.text.empty()) return true;
  return base::EqualsIgnoreCase(event.header_message_id(), query_.text) ||
         (!event.subject().empty() && base::ContainsIgnoreCase(event.subject(), query_.text));
}

absl::Status Searcher::FindMessages(Filters filters) {
  return Blocks([&](const BlockPlace& place) { return MayMatch(place, filters); },
                [&](Event&& event) {
                  if (!Matches(event)) return true;
                  if (messages_.size() >= limit_ && !messages_.contains(event.message_id())) {
                    truncated_ = true;
                    return false;
                  }
                  messages_.insert(event.message_id());
                  return true;
                });
}

// Everything about the messages found, whatever its time.
absl::Status Searcher::CollectStories() {
  std::vector<uint64_t> tokens;
  tokens.reserve(messages_.size());
  for (const std::string& id : messages_) tokens.push_back(MessageToken(id));
  return Blocks(
      [&](const BlockPlace& place) {
        return std::any_of(tokens.begin(), tokens.end(),
                           [&](uint64_t token) { return BloomMayHold(place.bloom, token); });
      },
      [&](Event&& event) {
        const bool begot = !query_.message_id.empty() && event.parent_id() == query_.message_id;
        if (!begot && !messages_.contains(event.message_id())) return true;
        truncated_ = truncated_ || events_.size() >= kMostEvents;
        if (events_.size() >= kMostEvents) return false;
        events_.push_back(std::move(event));
        return true;
      });
}

// Nothing was named: the newest events of the time range.
absl::Status Searcher::CollectDirectly() {
  return Blocks([&](const BlockPlace& place) { return InTime(place); },
                [&](Event&& event) {
                  if (!InTime(event)) return true;
                  truncated_ = events_.size() >= std::min<size_t>(limit_, kMostEvents);
                  if (!truncated_) events_.push_back(std::move(event));
                  return !truncated_;
                });
}

// Whole messages, newest first, as long as they fit; then everything by time.
EventResult Searcher::Chosen() {
  std::map<std::string, std::pair<uint64_t, size_t>> stories;  // newest time, number of events
  for (const Event& event : events_) {
    auto& [newest, count] = stories[event.message_id()];
    newest = std::max<uint64_t>(newest, event.time_ms());
    ++count;
  }
  std::vector<std::pair<uint64_t, std::string>> order;
  order.reserve(stories.size());
  for (const auto& [id, story] : stories) order.emplace_back(story.first, id);
  std::sort(order.rbegin(), order.rend());
  std::unordered_set<std::string> kept;
  size_t total = 0;
  for (const auto& [newest, id] : order) {
    total += stories[id].second;
    if (total > limit_ && !kept.empty()) {
      truncated_ = true;
      break;
    }
    kept.insert(id);
  }
  std::erase_if(events_, [&](const Event& event) { return !kept.contains(event.message_id()); });
  EventResult result;
  // Read newest first: turned round, equal times keep the order in which they were recorded.
  std::reverse(events_.begin(), events_.end());
  std::stable_sort(events_.begin(), events_.end(),
                   [](const Event& a, const Event& b) { return a.time_ms() < b.time_ms(); });
  result.events = std::move(events_);
  result.truncated = truncated_;
  return result;
}

absl::StatusOr<EventResult> Searcher::Run() {
  if (!query_.message_id.empty()) {
    messages_.insert(query_.message_id);
  } else if (query_.address.empty() && query_.text.empty()) {
    RETURN_IF_ERROR(CollectDirectly());
    return Chosen();
  } else {
    RETURN_IF_ERROR(FindMessages(Filters::kUse));
    // Part of a word is in no filter.
    if (messages_.empty() && !query_.text.empty()) RETURN_IF_ERROR(FindMessages(Filters::kIgnore));
  }
  if (!messages_.empty()) RETURN_IF_ERROR(CollectStories());
  return Chosen();
}

}  // namespace

absl::StatusOr<EventResult> SearchEvents(file::FileSystem& system, const std::string& directory,
                                         const EventQuery& query) {
  return Searcher(system, directory, query).Run();
}

}  // namespace posthorn::store_service
