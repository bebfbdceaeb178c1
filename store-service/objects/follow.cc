// Configuration: what other replicas committed.

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {
namespace {

// So long somebody who must know waits for the database, a fail-over included.
constexpr std::chrono::milliseconds kPatience{10000};

}  // namespace

net::Task<absl::Status> Configuration::CatchUp() {
  if (rounds_ == nullptr) co_return absl::OkStatus();
  co_return co_await rounds_->Fresh(kPatience);
}

net::Task<absl::Status> Configuration::Follow(Self self) {
  for (;;) {
    if (*self == nullptr) co_return base::Unavailable("the store stops");
    const Tip seen = (*self)->tip_;
    absl::StatusOr<Followed> followed = co_await (*self)->follow_pool_->Run(
        [seen, follower = (*self)->follower_.get()] { return follower->Since(seen); });
    if (*self == nullptr) co_return base::Unavailable("the store stops");
    (*self)->NoteFollowed(followed.status());
    if (!followed.ok()) co_return base::Unavailable(base::Message(followed.status()));
    if (followed->tip == (*self)->tip_) co_return absl::OkStatus();
    // A commit of our own came in between: what was read does not follow on it.
    if (seen != (*self)->tip_) continue;
    (*self)->ApplyFollowed(*std::move(followed));
    co_return absl::OkStatus();
  }
}

void Configuration::NoteFollowed(const absl::Status& status) {
  if (!status.ok() && !database_away_)
    observe::Warning("directory.database_away", {{"reason", base::Message(status)}});
  if (status.ok() && database_away_) observe::Info("directory.database_back");
  database_away_ = !status.ok();
  if (status.ok()) followed_ms_ = base::MonotonicMicros() / 1000;
}

int64_t Configuration::behind_ms() const {
  return rounds_ == nullptr || followed_ms_ == 0 ? 0
                                                 : base::MonotonicMicros() / 1000 - followed_ms_;
}

void Configuration::ApplyFollowed(Followed followed) {
  if (followed.other_history) return Reload(followed);
  Apply(followed.committed, std::move(followed.tip));
  for (const base::AccountId account : followed.erased) Forget(account);
}

void Configuration::Reload(const Followed& followed) {
  observe::Error("directory.history_lost",
                 {{"had", tip_.revision},
                  {"now", followed.tip.revision},
                  {"reason", "the database lost its newest commits: another server, a backup?"}});
  std::vector<std::pair<base::AccountId, AccountFacts>> before;
  model_.ForEachAccount(
      [&](const AccountRecord& account) { before.emplace_back(account.id, AccountFacts()); });
  for (auto& [account, facts] : before) facts = model_.Facts(account);
  model_.Replace(followed.committed.delta, followed.tip.revision);
  tip_ = followed.tip;
  std::vector<FeedChange> changes;
  for (const auto& [account, facts] : before) {
    const AccountFacts now = model_.Facts(account);
    if (now.state == facts.state && now.session_version == facts.session_version) continue;
    changes.push_back({.account = account, .end_sessions = true, .revision = tip_.revision});
  }
  changes.push_back({.all = true, .revision = tip_.revision});
  to_erase_.clear();
  for (const AccountRecord& account : followed.committed.delta.accounts) {
    if (account.deleting) to_erase_.push_back(account.id);
  }
  Tell(std::move(changes));
  erase_.NotifyAll();
}

}  // namespace posthorn::store_service
