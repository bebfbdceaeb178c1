#include "admin-service/service/revisions.h"

#include <map>
#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/objects.h"

namespace posthorn::admin_service {
namespace {

struct Ends {
  std::optional<std::string> before;
  std::optional<std::string> after;
};
using Key = std::pair<std::string, std::string>;

std::shared_ptr<const google::protobuf::Message> Decode(const config::Schema& schema,
                                                        const config::Kind& kind,
                                                        const std::optional<std::string>& data) {
  if (!data) return nullptr;
  std::shared_ptr<google::protobuf::Message> value = schema.New(kind);
  if (!value->ParseFromString(*data)) return nullptr;
  config::ApplyDefaults(*value, config::Profile::kModern, config::Age::kStored);
  return value;
}

// Newest first, so the first sight of an object is its state at the end, the last that at the
// beginning.
void Gather(const store::v1::Revision& revision, std::map<Key, Ends>& ends) {
  for (const store::v1::RevisionChange& change : revision.changes()) {
    const auto [at, first] = ends.try_emplace({change.kind(), change.name()});
    if (first && change.has_after()) at->second.after = change.after();
    at->second.before =
        change.has_before() ? std::optional<std::string>(change.before()) : std::nullopt;
  }
}

}  // namespace

net::Task<absl::StatusOr<std::vector<Span>>> ReadSpans(ObjectStore& store,
                                                       const config::Schema& schema, uint64_t from,
                                                       uint64_t to) {
  CO_ASSIGN_OR_RETURN(const uint64_t head, co_await store.Head());
  if (from > to || to > head)
    co_return base::NotFound(base::StrCat("revisions go from 1 to ", head));
  std::map<Key, Ends> ends;
  store::v1::HistoryRequest request;
  request.set_before(to + 1);
  request.set_limit(100);
  for (uint64_t next = to; next > from;) {
    CO_ASSIGN_OR_RETURN(const store::v1::HistoryReply reply, co_await store.History(request));
    if (reply.revisions_size() == 0) break;
    for (const store::v1::Revision& revision : reply.revisions()) {
      next = revision.revision();
      if (next <= from) break;
      Gather(revision, ends);
    }
    request.set_before(next);
  }
  std::vector<Span> spans;
  for (const auto& [key, both] : ends) {
    const config::Kind* kind = schema.Find(key.first);
    if (kind == nullptr || both.before == both.after) continue;
    spans.push_back(
        {kind, key.second, Decode(schema, *kind, both.before), Decode(schema, *kind, both.after)});
  }
  co_return spans;
}

admin::v1::ChangeReply DescribeSpans(const std::vector<Span>& spans) {
  admin::v1::ChangeReply reply;
  for (const Span& span : spans) {
    const auto add = [&](const std::string& field, const std::string& before,
                         const std::string& after) {
      admin::v1::Difference* out = reply.add_differences();
      out->set_kind(span.kind->word);
      out->set_name(span.name);
      out->set_field(field);
      out->set_before(before);
      out->set_after(after);
    };
    if (span.before == nullptr) add("", "", span.name);
    if (span.after == nullptr) add("", span.name, "");
    if (span.after == nullptr) continue;
    for (const config::FieldDifference& difference :
         config::Compare(span.before.get(), span.after.get())) {
      add(difference.field, difference.before, difference.after);
    }
  }
  return reply;
}

admin::v1::HistoryReply DescribeHistory(const store::v1::HistoryReply& history) {
  admin::v1::HistoryReply reply;
  for (const store::v1::Revision& revision : history.revisions()) {
    admin::v1::RevisionInfo* out = reply.add_revisions();
    out->set_revision(revision.revision());
    out->set_time_ms(revision.time_ms());
    out->set_author(revision.author());
    out->set_reason(revision.reason());
    out->set_changes(static_cast<uint32_t>(revision.changes_size()));
  }
  return reply;
}

}  // namespace posthorn::admin_service
