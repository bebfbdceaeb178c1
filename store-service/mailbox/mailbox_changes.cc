#include "store-service/mailbox/mailbox_changes.h"

#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/mailbox/names.h"

namespace posthorn::store_service {
namespace {

v1::MailboxReply ReplyFor(Change& change, const Mailbox* mailbox) {
  v1::MailboxReply reply;
  reply.set_modseq(change.account().row.modseq);
  if (mailbox != nullptr) {
    reply.set_mailbox(mailbox->row.mailbox);
    reply.set_uid_validity(mailbox->row.uid_validity);
  }
  return reply;
}

// [RFC9051 6.3.4] superior levels come into being with a mailbox.
void CreateSuperiors(Change& change, const std::string& name) {
  for (size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    const std::string superior = name.substr(0, slash);
    if (change.account().Find(superior) == nullptr) change.CreateMailbox(superior, "");
  }
}

bool KnownSpecialUse(std::string_view use) {
  // [RFC6154 2]
  for (const std::string_view known :
       {"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"}) {
    if (use == known) return true;
  }
  return use.empty();
}

// [RFC9051 6.3.6] renaming INBOX moves its messages and leaves it empty.
absl::StatusOr<v1::MailboxReply> MoveInbox(Change& change, Mailbox& inbox, const std::string& to) {
  CreateSuperiors(change, to);
  Mailbox& target = change.CreateMailbox(to, "");
  const KeywordBits none;
  if (!inbox.keywords.empty()) change.Keywords(target, inbox.keywords);
  for (const MessageColumns& row : inbox.columns) {
    // The names were copied in order, so the bits are the same.
    change.Copy(inbox, row, target, inbox.keywords.empty() ? none : row.keywords);
  }
  change.Expunge(inbox, [](const MessageColumns&) { return true; });
  return ReplyFor(change, &target);
}

// The mailbox called `from` and all below it.
std::vector<std::pair<MailboxId, std::string>> Subtree(AccountMemory& account,
                                                       const std::string& from,
                                                       const std::string& to) {
  std::vector<std::pair<MailboxId, std::string>> moves;
  const std::string below = from + "/";
  for (const auto& [name, id] : account.names) {
    if (name == from || name.starts_with(below)) {
      moves.emplace_back(id, to + name.substr(from.size()));
    }
  }
  return moves;
}

}  // namespace

Mailbox& FindOrCreate(Change& change, const std::string& normal_name,
                      const std::string& special_use) {
  if (Mailbox* found = change.account().Find(normal_name)) return *found;
  CreateSuperiors(change, normal_name);
  return change.CreateMailbox(normal_name, special_use);
}

absl::StatusOr<v1::MailboxReply> CreateMailbox(Change& change,
                                               const v1::CreateMailboxRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, NormalName(request.name()));
  if (!KnownSpecialUse(request.special_use())) return base::Invalid("unknown special use");
  if (change.account().Find(name) != nullptr) return base::Exists("mailbox exists");
  Mailbox& mailbox = FindOrCreate(change, name, request.special_use());
  return ReplyFor(change, &mailbox);
}

absl::StatusOr<v1::MailboxReply> DeleteMailbox(Change& change,
                                               const v1::DeleteMailboxRequest& request) {
  Mailbox* mailbox = change.account().Find(request.name());
  if (mailbox == nullptr) return base::NotFound("no such mailbox");
  if (mailbox->row.name == "INBOX") return base::Precondition("INBOX cannot be deleted");
  v1::MailboxReply reply = ReplyFor(change, mailbox);
  change.DeleteMailbox(*mailbox);
  reply.set_modseq(change.modseq());
  return reply;
}

absl::StatusOr<v1::MailboxReply> RenameMailbox(Change& change,
                                               const v1::RenameMailboxRequest& request) {
  ASSIGN_OR_RETURN(const std::string from, NormalName(request.from()));
  ASSIGN_OR_RETURN(const std::string to, NormalName(request.to()));
  AccountMemory& account = change.account();
  Mailbox* mailbox = account.Find(from);
  if (account.Find(to) != nullptr) return base::Exists("mailbox exists");
  if (mailbox != nullptr && from == "INBOX") return MoveInbox(change, *mailbox, to);
  if (to.starts_with(from + "/")) return base::Invalid("a mailbox cannot move below itself");
  const auto moves = Subtree(account, from, to);
  if (moves.empty()) return base::NotFound("no such mailbox");
  for (const auto& [id, name] : moves) {
    if (account.Find(name) != nullptr) return base::Exists("an inferior mailbox exists");
    if (!NormalName(name).ok()) return base::Invalid("an inferior name becomes too long");
  }
  CreateSuperiors(change, to);
  for (const auto& [id, name] : moves) change.RenameMailbox(*account.Find(id), name);
  return ReplyFor(change, account.Find(to));
}

absl::StatusOr<v1::MailboxReply> Subscribe(Change& change, const v1::SubscribeRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, NormalName(request.name()));
  change.Subscribe(name, request.subscribed() ? SubscriptionRow::State::kSubscribed
                                              : SubscriptionRow::State::kUnsubscribed);
  return ReplyFor(change, change.account().Find(name));
}

}  // namespace posthorn::store_service
