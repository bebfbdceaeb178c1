#include "store-service/lane/account_memory.h"

#include <utility>

#include "lib/base/strings.h"

namespace posthorn::store_service {

std::string CanonicalName(std::string_view name) {
  constexpr std::string_view kInbox = "INBOX";
  if (!base::StartsWithIgnoreCase(name, kInbox)) return std::string(name);
  if (name.size() > kInbox.size() && name[kInbox.size()] != '/') return std::string(name);
  return base::StrCat(kInbox, name.substr(kInbox.size()));
}

AccountMemory::AccountMemory(AccountImage image)
    : row(image.row), origin(image.exists ? Origin::kStored : Origin::kNew) {
  for (MailboxRow& mailbox : image.mailboxes) {
    names[mailbox.name] = mailbox.mailbox;
    mailboxes[mailbox.mailbox].row = std::move(mailbox);
  }
  for (KeywordRow& keyword : image.keywords) {
    auto& list = mailboxes[keyword.mailbox].keywords;
    if (list.size() <= keyword.bit) list.resize(keyword.bit + 1);
    list[keyword.bit] = std::move(keyword.name);
  }
  for (std::string& name : image.subscriptions) subscriptions.insert(std::move(name));
  for (OperationRow& operation : image.operations) {
    std::string key = operation.operation;
    operation_order.push_back(key);
    operations.emplace(std::move(key), std::move(operation));
  }
}

Mailbox* AccountMemory::Find(std::string_view name) {
  const auto found = names.find(CanonicalName(name));
  return found == names.end() ? nullptr : Find(found->second);
}

Mailbox* AccountMemory::Find(MailboxId id) {
  const auto found = mailboxes.find(id);
  return found == mailboxes.end() ? nullptr : &found->second;
}

}  // namespace posthorn::store_service
