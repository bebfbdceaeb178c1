#include <algorithm>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/view/account_view.h"
#include "imap-gateway/view/sync_client.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr std::chrono::milliseconds kOpenLimit{25000};

// The ready view of a mailbox by name; everything committed before is in.
net::Task<absl::StatusOr<std::shared_ptr<MailboxView>>> OpenView(Session& session,
                                                                 std::string name) {
  CO_ASSIGN_OR_RETURN(const std::shared_ptr<AccountView> account, co_await session.FreshAccount());
  const MailboxInfo* info = account->Find(name);
  if (info == nullptr) co_return base::NotFound("no such mailbox");
  // A view that was here before the barrier has had all that came before it; a new one begins
  // later.
  const uint64_t mailbox = info->mailbox;
  for (bool again = true;; again = false) {
    std::shared_ptr<MailboxView> view =
        session.gateway().sync.Mailbox(session.ticket(), session.identity()->account, mailbox);
    const absl::Status status = co_await view->WaitCurrent(kOpenLimit);
    if (status.ok()) co_return view;
    // It got a new UIDVALIDITY meanwhile: the next view begins with that.
    if (view->state() != MailboxView::State::kChanged || !again) co_return status;
  }
}

void Describe(Session& session, std::string& out) {
  Selected& selected = *session.selected();
  const MailboxView& view = selected.cursor.view();
  selected.keywords_told = 0;
  base::StrAppend(out, "* FLAGS (", kSystemFlags);
  for (const std::string& name : view.keyword_names()) base::StrAppend(out, " ", name);
  selected.keywords_told = view.keyword_names().size();
  if (selected.read_only) {
    out.append(")\r\n* OK [PERMANENTFLAGS ()] Read-only\r\n");
  } else {
    base::StrAppend(out, ")\r\n* OK [PERMANENTFLAGS (", kSystemFlags);
    for (const std::string& name : view.keyword_names()) base::StrAppend(out, " ", name);
    out.append(" \\*)] Flags kept\r\n");
  }
  // DEVIATES [RFC3501 2.3.2]: \Recent is never set, as [RFC9051] has no such flag.
  base::StrAppend(out, "* ", selected.cursor.Count(), " EXISTS\r\n* 0 RECENT\r\n");
  const MessageColumns& messages = view.messages();
  for (size_t i = 0; i < messages.size(); ++i) {
    if ((messages.flags(i) & kSeen) != 0) continue;
    base::StrAppend(out, "* OK [UNSEEN ", i + 1, "] First unseen\r\n");
    break;
  }
  base::StrAppend(out, "* OK [UIDVALIDITY ", view.uid_validity(), "] UIDs valid\r\n* OK [UIDNEXT ",
                  view.uid_next(), "] Next UID\r\n* OK [HIGHESTMODSEQ ",
                  std::max<uint64_t>(view.modseq(), 1), "] Highest\r\n");
}

}  // namespace

// [RFC9051 6.3.2, 6.3.3]
net::Task<Completion> OnSelect(Session& session, Input input) {
  const absl::StatusOr<SelectArguments> arguments = ParseSelect(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  // [RFC9051 6.3.2] the old mailbox is left even when the new one cannot be selected.
  session.Select(nullptr);
  absl::StatusOr<std::shared_ptr<MailboxView>> view =
      co_await OpenView(session, arguments->mailbox);
  // A mailbox that went while it was being opened is no reason to end the session.
  if (view.status().code() == absl::StatusCode::kAborted)
    view = base::NotFound("deleted meanwhile");
  if (!view.ok()) co_return FromStatus(view.status(), Doing::kReading);
  if (arguments->condstore) session.EnableCondstore();
  auto selected = std::make_unique<Selected>(*std::move(view));
  selected->name = arguments->mailbox;
  selected->read_only = input.name == "EXAMINE";
  session.Select(std::move(selected));
  std::string out;
  Describe(session, out);
  if (!(co_await session.Send(out)).ok()) co_return Completion::Gone();
  co_return Completion::Ok(session.selected()->read_only ? "[READ-ONLY] EXAMINE completed"
                                                         : "[READ-WRITE] SELECT completed");
}

// [RFC9051 6.4.1]: expunges silently, unless read-only.
net::Task<Completion> OnClose(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  Selected& selected = *session.selected();
  const MessageColumns& messages = selected.cursor.view().messages();
  bool any = false;
  for (size_t i = 0; i < messages.size() && !any; ++i) any = (messages.flags(i) & kDeleted) != 0;
  if (any && !selected.read_only) {
    store::v1::ExpungeRequest request;
    request.set_operation(NewOperation());
    request.set_mailbox(selected.cursor.view().mailbox());
    request.set_only_deleted(true);
    const auto reply =
        co_await session.gateway().store.Expunge(session.ticket(), std::move(request));
    if (!reply.ok()) co_return FromStatus(reply.status(), Doing::kFlagging);
  }
  session.Select(nullptr);
  co_return Completion::Ok("CLOSE completed");
}

// [RFC9051 6.4.2]
net::Task<Completion> OnUnselect(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  session.Select(nullptr);
  co_return Completion::Ok("UNSELECT completed");
}

}  // namespace posthorn::imap_gateway
