#include <map>
#include <set>

#include "imap-gateway/protocol/mailbox_name.h"
#include "imap-gateway/protocol/response.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/status_line.h"
#include "imap-gateway/view/account_view.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

// One line to be sent.
struct Listed {
  const MailboxInfo* mailbox = nullptr;  // null: only the name is known
  bool subscribed = false;
  bool children = false;
  bool child_subscribed = false;  // for CHILDINFO
  bool matches = false;           // the selection options, itself
};
using Listing = std::map<std::string, Listed, std::less<>>;

bool MatchesAny(const ListArguments& arguments, std::string_view name) {
  for (const std::string& pattern : arguments.patterns)
    if (ListMatches(base::StrCat(arguments.reference, pattern), name)) return true;
  return false;
}

// Every name there is or that is implied by one below it, with what is known of it. INBOX comes
// first by its case.
Listing AllNames(const AccountView& account) {
  Listing all;
  for (const auto& [name, mailbox] : account.mailboxes()) {
    all[name].mailbox = mailbox.get();
    for (size_t at = name.rfind(kDelimiter); at != std::string::npos && at > 0;
         at = name.rfind(kDelimiter, at - 1))
      all[name.substr(0, at)].children = true;
  }
  for (const std::string& name : account.subscriptions()) {
    all[name].subscribed = true;
    for (size_t at = name.rfind(kDelimiter); at != std::string::npos && at > 0;
         at = name.rfind(kDelimiter, at - 1))
      all[name.substr(0, at)].child_subscribed = true;
  }
  return all;
}

void AppendAttributes(std::string& out, const Listed& listed, const ListArguments& arguments) {
  const size_t before = out.size();
  const auto add = [&](std::string_view attribute) {
    if (out.size() > before) out.push_back(' ');
    out.append(attribute);
  };
  if (listed.mailbox == nullptr) add(arguments.extended ? "\\NonExistent" : "\\Noselect");
  if (listed.subscribed && (arguments.return_subscribed || arguments.select_subscribed))
    add("\\Subscribed");
  add(listed.children ? "\\HasChildren" : "\\HasNoChildren");
  if (listed.mailbox != nullptr && !listed.mailbox->special_use.empty())
    add(listed.mailbox->special_use);
}

void AppendLine(std::string& out, std::string_view word, std::string_view name,
                const Listed& listed, const ListArguments& arguments) {
  base::StrAppend(out, "* ", word, " (");
  AppendAttributes(out, listed, arguments);
  out.append(") \"/\" ");
  AppendMailbox(out, name);
  // [RFC5258 3.5]
  if (arguments.recursive_match && !listed.matches && listed.child_subscribed)
    out.append(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
  out.append("\r\n");
}

// [RFC5258 3.1] what the selection options let through.
bool Selects(const ListArguments& arguments, Listed& listed) {
  listed.matches = true;
  if (arguments.select_subscribed) listed.matches = listed.subscribed;
  if (arguments.select_special_use)
    listed.matches =
        listed.matches && listed.mailbox != nullptr && !listed.mailbox->special_use.empty();
  if (listed.matches && (arguments.select_subscribed || listed.mailbox != nullptr)) return true;
  if (arguments.recursive_match && listed.child_subscribed) return true;
  // A level that only exists through its children: told, so that "%" can be walked down.
  return !arguments.select_subscribed && !arguments.select_special_use &&
         listed.mailbox == nullptr && listed.children;
}

}  // namespace

// [RFC9051 6.3.9], [RFC5258], [RFC5819]
net::Task<Completion> OnList(Session& session, Input input) {
  const absl::StatusOr<ListArguments> arguments = ParseList(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  std::string out;
  // [RFC3501 6.3.8] the delimiter is asked for with an empty name.
  if (!arguments->extended && arguments->patterns.size() == 1 && arguments->patterns[0].empty()) {
    session.Untagged("LIST (\\Noselect) \"/\" \"\"");
    co_return Completion::Ok("LIST completed");
  }
  if ((arguments->status_items & kStatusHighestModSeq) != 0) session.EnableCondstore();
  const auto account =
      arguments->status_items != 0 ? co_await session.FreshAccount() : co_await session.Account();
  if (!account.ok()) co_return FromStatus(account.status(), Doing::kReading);
  Listing all = AllNames(**account);
  for (auto& [name, listed] : all) {
    if (!Selects(*arguments, listed) || !MatchesAny(*arguments, name)) continue;
    AppendLine(out, "LIST", name, listed, *arguments);
    if (arguments->status_items != 0 && listed.mailbox != nullptr && listed.matches)
      AppendStatusLine(out, *listed.mailbox, arguments->status_items, session.config());
  }
  if (!(co_await session.Send(out)).ok()) co_return Completion::Gone();
  co_return Completion::Ok("LIST completed");
}

// [RFC3501 6.3.9]
net::Task<Completion> OnLsub(Session& session, Input input) {
  const absl::StatusOr<ListArguments> arguments = ParseLsub(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  const auto account = co_await session.Account();
  if (!account.ok()) co_return FromStatus(account.status(), Doing::kReading);
  std::string out;
  Listing all = AllNames(**account);
  for (auto& [name, listed] : all) {
    if (!MatchesAny(*arguments, name)) continue;
    if (listed.subscribed) {
      base::StrAppend(out, "* LSUB () \"/\" ");
    } else if (listed.child_subscribed && !arguments->patterns[0].empty() &&
               arguments->patterns[0].back() == '%') {
      // [RFC3501 6.3.9] a parent that is not subscribed itself, found by "%".
      base::StrAppend(out, "* LSUB (\\Noselect) \"/\" ");
    } else {
      continue;
    }
    AppendMailbox(out, name);
    out.append("\r\n");
  }
  if (!(co_await session.Send(out)).ok()) co_return Completion::Gone();
  co_return Completion::Ok("LSUB completed");
}

}  // namespace posthorn::imap_gateway
