// Configuration: the mail of removed accounts goes.

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/directory/load.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {
namespace {

// The owner of its lane erases it; should the lane come here, so do we.
bool IsAnothers(const absl::Status& status) {
  return absl::IsUnavailable(status) && base::Message(status) == base::kNotOwner;
}

}  // namespace

void Configuration::SetLifecycle(AccountLifecycle& lifecycle) {
  lifecycle_ = &lifecycle;
  loop_.Spawn("directory.erase", EraseLoop(self_));
}

net::Task<void> Configuration::EraseLoop(Self self) {
  while (*self != nullptr) {
    Configuration& it = **self;
    if (it.to_erase_.empty()) {
      co_await it.erase_.Wait();
      continue;
    }
    std::vector<base::AccountId> now;
    now.swap(it.to_erase_);
    std::vector<base::AccountId> again;
    for (const base::AccountId account : now) {
      if (!co_await it.EraseOne(account)) again.push_back(account);
      if (*self == nullptr) co_return;
    }
    if (again.empty()) continue;
    it.to_erase_.insert(it.to_erase_.end(), again.begin(), again.end());
    co_await net::Sleep(it.loop_, it.erase_retry_);
    if (*self != nullptr) co_await it.ForgetErased();
  }
}

net::Task<bool> Configuration::EraseOne(base::AccountId account) {
  absl::Status status = co_await lifecycle_->EraseAccount(account);
  if (status.ok()) {
    status = co_await Write([account](sql::Connection& db) {
      return db.Run("DELETE FROM deleting WHERE account=?1", account);
    });
  }
  if (status.ok()) {
    model_.Forget(account);
    observe::Info("directory.account_erased", {{"account", account}});
    co_return true;
  }
  if (IsAnothers(status)) co_return false;
  observe::Warning("directory.erase_failed",
                   {{"account", account}, {"reason", base::Message(status)}});
  co_return false;
}

void Configuration::Forget(base::AccountId account) {
  model_.Forget(account);
  std::erase(to_erase_, account);
}

net::Task<void> Configuration::ForgetErased() {
  if (!database_->shared()) co_return;
  const Self self = self_;
  const std::vector<base::AccountId> asked = to_erase_;
  const auto left =
      co_await read_pool_->Run([reader = reader_.get()] { return LoadDeleting(reader->db()); });
  if (!left.ok() || *self == nullptr) co_return;
  for (const base::AccountId account : asked) {
    if (std::find(left->begin(), left->end(), account) == left->end()) Forget(account);
  }
}

}  // namespace posthorn::store_service
