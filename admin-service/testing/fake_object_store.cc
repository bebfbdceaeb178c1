#include "admin-service/testing/fake_object_store.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::admin_service {

net::Task<absl::StatusOr<uint64_t>> FakeObjectStore::Head() {
  if (!away.ok()) co_return away;
  co_return head_;
}

net::Task<absl::StatusOr<store::v1::ListObjectsReply>> FakeObjectStore::List(
    store::v1::ListObjectsRequest request) {
  if (!away.ok()) co_return away;
  store::v1::ListObjectsReply reply;
  reply.set_revision(head_);
  const uint32_t limit = std::min(request.limit() == 0 ? page : request.limit(), page);
  for (const auto& [key, object] : objects_) {
    if (key.first != request.kind() || key.second <= request.after()) continue;
    if (!request.name().empty() && key.second != request.name()) continue;
    if (!key.second.ends_with(request.suffix())) continue;
    if (static_cast<uint32_t>(reply.objects_size()) == limit) {
      reply.set_more(true);
      break;
    }
    *reply.add_objects() = object;
  }
  co_return reply;
}

void FakeObjectStore::Change(const store::v1::Change& change, store::v1::Revision& revision) {
  const Key key{change.kind(), change.name()};
  store::v1::RevisionChange* out = revision.add_changes();
  out->set_kind(change.kind());
  out->set_name(change.name());
  if (objects_.contains(key)) out->set_before(objects_[key].data());
  if (change.remove()) {
    objects_.erase(key);
    return;
  }
  out->set_after(change.data());
  store::v1::Object& object = objects_[key];
  object.set_kind(change.kind());
  object.set_name(change.name());
  object.set_data(change.data());
  object.set_revision(head_);
}

uint64_t FakeObjectStore::Write(const std::string& kind, const std::string& name,
                                const std::string& data) {
  store::v1::Change change;
  change.set_kind(kind);
  change.set_name(name);
  change.set_data(data);
  store::v1::Revision revision;
  revision.set_revision(++head_);
  Change(change, revision);
  history_.push_back(revision);
  return head_;
}

net::Task<absl::StatusOr<uint64_t>> FakeObjectStore::Commit(store::v1::CommitRequest request) {
  if (!away.ok()) co_return away;
  if (before_commit) std::exchange(before_commit, nullptr)();
  if (request.expected_head() != head_) co_return base::Aborted("the head moved");
  for (const store::v1::Change& change : request.changes()) {
    const auto found = objects_.find({change.kind(), change.name()});
    const uint64_t revision = found == objects_.end() ? 0 : found->second.revision();
    if (change.has_expected_revision() && change.expected_revision() != revision)
      co_return base::Aborted("the object moved");
  }
  store::v1::Revision revision;
  revision.set_revision(++head_);
  revision.set_author(request.author());
  revision.set_reason(request.reason());
  for (const store::v1::Change& change : request.changes()) Change(change, revision);
  history_.push_back(std::move(revision));
  co_return head_;
}

net::Task<absl::StatusOr<store::v1::HistoryReply>> FakeObjectStore::History(
    store::v1::HistoryRequest request) {
  store::v1::HistoryReply reply;
  for (auto at = history_.rbegin(); at != history_.rend(); ++at) {
    if (request.before() != 0 && at->revision() >= request.before()) continue;
    if (static_cast<uint32_t>(reply.revisions_size()) == request.limit()) break;
    *reply.add_revisions() = *at;
  }
  co_return reply;
}

net::Task<absl::StatusOr<bool>> FakeObjectStore::CheckAdministrator(std::string,
                                                                    std::string password) {
  ++password_checks;
  co_return password == right_password;
}

}  // namespace posthorn::admin_service
