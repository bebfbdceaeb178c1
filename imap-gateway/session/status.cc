#include <algorithm>

#include "imap-gateway/protocol/response.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/session/status_line.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

void AppendStatusLine(std::string& out, const MailboxInfo& mailbox, uint32_t items,
                      const ImapConfig& config) {
  out.append("* STATUS ");
  AppendMailbox(out, mailbox.name);
  out.append(" (");
  const auto item = [&](uint32_t bit, std::string_view name, uint64_t value) {
    if ((items & bit) == 0) return;
    if (out.back() != '(') out.push_back(' ');
    base::StrAppend(out, name, " ", value);
  };
  item(kStatusMessages, "MESSAGES", mailbox.messages);
  item(kStatusRecent, "RECENT", 0);
  item(kStatusUidNext, "UIDNEXT", mailbox.uid_next);
  item(kStatusUidValidity, "UIDVALIDITY", mailbox.uid_validity);
  item(kStatusUnseen, "UNSEEN", mailbox.unseen);
  item(kStatusDeleted, "DELETED", mailbox.deleted);
  item(kStatusSize, "SIZE", mailbox.size);
  item(kStatusHighestModSeq, "HIGHESTMODSEQ", std::max<uint64_t>(mailbox.highest_modseq, 1));
  item(kStatusAppendLimit, "APPENDLIMIT", config.max_message_size);
  out.append(")\r\n");
}

// [RFC9051 6.3.11]
net::Task<Completion> OnStatus(Session& session, Input input) {
  const absl::StatusOr<StatusArguments> arguments = ParseStatus(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  // [RFC7162 3.1.2] asking for HIGHESTMODSEQ is a CONDSTORE enabling command.
  if ((arguments->items & kStatusHighestModSeq) != 0) session.EnableCondstore();
  const auto account = co_await session.FreshAccount();
  if (!account.ok()) co_return FromStatus(account.status(), Doing::kReading);
  const MailboxInfo* mailbox = (*account)->Find(arguments->mailbox);
  if (mailbox == nullptr) co_return FromStatus(base::NotFound("mailbox"), Doing::kReading);
  std::string out;
  AppendStatusLine(out, *mailbox, arguments->items, session.config());
  if (!(co_await session.Send(out)).ok()) co_return Completion::Gone();
  co_return Completion::Ok("STATUS completed");
}

}  // namespace posthorn::imap_gateway
