// CREATE, DELETE, RENAME, SUBSCRIBE and what else concerns the account as a whole.

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/commands.h"
#include "imap-gateway/view/account_view.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

// Waits until LIST shows the change, then completes.
net::Task<Completion> Done(Session& session, absl::StatusOr<store::v1::MailboxReply> reply,
                           Doing doing, std::string_view name) {
  if (!reply.ok()) co_return FromStatus(reply.status(), doing);
  const absl::Status seen = co_await session.WaitForAccount(reply->modseq());
  if (!seen.ok())
    co_return FromStatus(base::Error(absl::StatusCode::kUnknown, "view is late"), doing);
  co_return Completion::Ok(base::StrCat(name, " completed"));
}

}  // namespace

// [RFC9051 6.3.4], [RFC6154 3]
net::Task<Completion> OnCreate(Session& session, Input input) {
  absl::StatusOr<CreateArguments> arguments = ParseCreate(input.arguments);
  if (arguments.status().code() == absl::StatusCode::kUnimplemented)
    co_return Completion::No("[USEATTR] This special use is not possible");
  if (!arguments.ok()) co_return FromParse(arguments.status());
  if (arguments->mailbox == "INBOX") co_return Completion::No("[ALREADYEXISTS] INBOX exists");
  store::v1::CreateMailboxRequest request;
  request.set_operation(NewOperation());
  request.set_name(std::move(arguments->mailbox));
  request.set_special_use(std::move(arguments->special_use));
  auto reply = co_await session.gateway().store.CreateMailbox(session.ticket(), std::move(request));
  co_return co_await Done(session, std::move(reply), Doing::kCreating, input.name);
}

// [RFC9051 6.3.5]
net::Task<Completion> OnDelete(Session& session, Input input) {
  absl::StatusOr<std::string> name = ParseMailbox(input.arguments);
  if (!name.ok()) co_return FromParse(name.status());
  if (*name == "INBOX") co_return Completion::No("[CANNOT] INBOX cannot be deleted");
  // A client that deletes what it looks at keeps its connection.
  if (session.selected() != nullptr && session.selected()->name == *name) {
    session.Select(nullptr);
    session.Untagged("OK [CLOSED] Left the mailbox");
  }
  store::v1::DeleteMailboxRequest request;
  request.set_operation(NewOperation());
  request.set_name(*std::move(name));
  auto reply = co_await session.gateway().store.DeleteMailbox(session.ticket(), std::move(request));
  co_return co_await Done(session, std::move(reply), Doing::kNaming, input.name);
}

// [RFC9051 6.3.6]
net::Task<Completion> OnRename(Session& session, Input input) {
  absl::StatusOr<RenameArguments> arguments = ParseRename(input.arguments);
  if (!arguments.ok()) co_return FromParse(arguments.status());
  if (arguments->to == "INBOX") co_return Completion::No("[ALREADYEXISTS] INBOX exists");
  store::v1::RenameMailboxRequest request;
  request.set_operation(NewOperation());
  request.set_from(std::move(arguments->from));
  request.set_to(std::move(arguments->to));
  auto reply = co_await session.gateway().store.RenameMailbox(session.ticket(), std::move(request));
  co_return co_await Done(session, std::move(reply), Doing::kNaming, input.name);
}

// [RFC9051 6.3.7, 6.3.8]
net::Task<Completion> OnSubscribe(Session& session, Input input) {
  absl::StatusOr<std::string> name = ParseMailbox(input.arguments);
  if (!name.ok()) co_return FromParse(name.status());
  store::v1::SubscribeRequest request;
  request.set_operation(NewOperation());
  request.set_name(*std::move(name));
  request.set_subscribed(input.name == "SUBSCRIBE");
  auto reply = co_await session.gateway().store.Subscribe(session.ticket(), std::move(request));
  co_return co_await Done(session, std::move(reply), Doing::kNaming, input.name);
}

// [RFC9051 6.3.1]
net::Task<Completion> OnEnable(Session& session, Input input) {
  const absl::StatusOr<std::vector<std::string>> names = ParseEnable(input.arguments);
  if (!names.ok()) co_return FromParse(names.status());
  std::string enabled = "ENABLED";
  for (const std::string& name : *names) {
    if (name != "CONDSTORE" || session.condstore()) continue;
    session.EnableCondstore();
    enabled.append(" CONDSTORE");
  }
  session.Untagged(enabled);
  co_return Completion::Ok("ENABLE completed");
}

// [RFC9051 6.3.10]: one personal namespace.
net::Task<Completion> OnNamespace(Session& session, Input input) {
  if (const absl::Status status = ParseNothing(input.arguments); !status.ok())
    co_return FromParse(status);
  session.Untagged("NAMESPACE ((\"\" \"/\")) NIL NIL");
  co_return Completion::Ok("NAMESPACE completed");
}

}  // namespace posthorn::imap_gateway
