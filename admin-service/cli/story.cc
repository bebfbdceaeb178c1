#include "admin-service/cli/story.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "admin-service/cli/render.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "lib/config/units.h"

namespace posthorn::cli {
namespace {

using common::v1::Event;

std::string IdText(const std::string& bytes) {
  const auto id = base::MessageId::FromBytes(bytes);
  return id ? id->ToString() : base::Hex(bytes);
}

std::string Recipients(const Event& event) {
  std::vector<std::string> some(event.recipients().begin(), event.recipients().end());
  if (some.size() > 3) some.resize(3);
  std::string out = base::Join(some, ", ");
  const size_t count =
      std::max<size_t>(event.recipient_count(), static_cast<size_t>(event.recipients_size()));
  if (count > some.size())
    base::StrAppend(out, some.empty() ? "" : " and ", count - some.size(),
                    some.empty() ? " recipients" : " more");
  return out;
}

std::string_view Verb(const Event& event) {
  switch (event.step()) {
    case Event::ACCEPTED:
      return "accepted";
    case Event::REFUSED:
      return event.outcome() == Event::TEMPORARY ? "put off" : "refused";
    case Event::SCORED:
      return "scored";
    case Event::QUEUED:
      return "queued";
    case Event::EXPANDED:
      return "expanded";
    case Event::STORED:
      return "stored";
    case Event::ATTEMPT:
      return "tried";
    case Event::DEFERRED:
      return "deferred";
    case Event::SENT:
      return "sent";
    case Event::BOUNCED:
      return "bounced";
    case Event::REMOVED:
      return "removed";
    case Event::CLIENT:
      return "client";
    case Event::RULE:
      return "rule";
    default:
      return "event";
  }
}

std::string Details(const Event& event) {
  std::vector<std::string> parts;
  const bool arrival = event.step() == Event::ACCEPTED || event.step() == Event::REFUSED;
  if (arrival) parts.push_back(event.sender().empty() ? "from <>" : "from " + event.sender());
  if (const std::string recipients = Recipients(event); !recipients.empty())
    parts.push_back("to " + recipients);
  if (!event.peer().empty()) parts.push_back((arrival ? "client " : "host ") + event.peer());
  if (event.size() > 0) parts.push_back(base::StrCat(event.size(), " octets"));
  if (event.step() == Event::SCORED) {
    char score[32];
    std::snprintf(score, sizeof(score), "score %.1f", event.score());
    parts.emplace_back(score);
  }
  if (!event.text().empty()) parts.push_back(event.text());
  return base::Join(parts, ", ");
}

// "+0.012 s", "+3 min".
std::string Since(int64_t millis) {
  if (millis >= 60000) return "+" + AgeText(static_cast<uint64_t>(millis / 1000));
  char text[32];
  std::snprintf(text, sizeof(text), "+%.3f s", static_cast<double>(millis) / 1000);
  return text;
}

std::string Tell(const std::string& id, std::vector<const Event*> events) {
  std::stable_sort(events.begin(), events.end(),
                   [](const Event* a, const Event* b) { return a->time_ms() < b->time_ms(); });
  const int64_t begin = static_cast<int64_t>(events.front()->time_ms());
  std::string out = "Message " + IdText(id);
  std::vector<std::vector<std::string>> rows;
  for (const Event* event : events) {
    if (event->step() == Event::ACCEPTED && !event->subject().empty())
      base::StrAppend(out, "\n  Subject: ", event->subject());
    if (!event->header_message_id().empty())
      base::StrAppend(out, "\n  Message-ID: ", event->header_message_id());
    if (!event->parent_id().empty())
      base::StrAppend(out, "\n  begotten by ", IdText(event->parent_id()));
    const int64_t time = static_cast<int64_t>(event->time_ms());
    char millis[8];
    std::snprintf(millis, sizeof(millis), ".%03d", static_cast<int>(time % 1000));
    rows.push_back({"  " + TimeText(time) + millis, Since(time - begin),
                    event->origin().substr(0, event->origin().find('@')), std::string(Verb(*event)),
                    Details(*event)});
  }
  const std::string table = Table({"", "", "", "", ""}, rows);
  return base::StrCat(out, "\n", std::string_view(table).substr(table.find('\n') + 1));
}

}  // namespace

std::string Story(const admin::v1::TraceReply& trace) {
  std::map<std::string, std::vector<const Event*>> messages;
  for (const Event& event : trace.events()) {
    std::vector<const Event*>& events = messages[event.message_id()];
    // A batch that was shipped twice (the store answered too late) is told once.
    const bool known = std::any_of(events.begin(), events.end(), [&](const Event* other) {
      return other->SerializeAsString() == event.SerializeAsString();
    });
    if (!known) events.push_back(&event);
  }
  std::string out;
  for (auto& [id, events] : messages)
    base::StrAppend(out, out.empty() ? "" : "\n", Tell(id, std::move(events)));
  if (messages.empty()) out = "nothing found\n";
  if (trace.truncated()) out += "\nThere is more: narrow it with --from, --to or --limit.\n";
  return out;
}

}  // namespace posthorn::cli
