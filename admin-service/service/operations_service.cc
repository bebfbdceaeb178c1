#include "admin-service/service/operations_service.h"

#include <algorithm>
#include <array>

#include "admin-service/service/register.h"
#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/admin.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::admin_service {
namespace {

constexpr std::chrono::milliseconds kAskLimit{5000};
constexpr std::chrono::hours kCheckLimit{24};

rpc::CallOptions Limit(std::chrono::milliseconds limit) {
  rpc::CallOptions options;
  options.timeout = limit;
  return options;
}

// Of several stores the owner of lane 0 knows which journals are connected.
rpc::CallOptions AtCollector() {
  rpc::CallOptions options = Limit(kAskLimit);
  options.account = base::kLanes;
  return options;
}

struct ActionName {
  std::string_view word;
  queue::v1::ActRequest::Action action;
};
constexpr std::array<ActionName, 5> kActions = {{{"retry", queue::v1::ActRequest::RETRY},
                                                 {"hold", queue::v1::ActRequest::HOLD},
                                                 {"release", queue::v1::ActRequest::RELEASE},
                                                 {"remove", queue::v1::ActRequest::REMOVE},
                                                 {"bounce", queue::v1::ActRequest::BOUNCE}}};

std::string IdText(const std::string& bytes) {
  const std::optional<base::MessageId> id = base::MessageId::FromBytes(bytes);
  return id ? id->ToString() : base::Hex(bytes);
}

void AddLines(const queue::v1::QueuedMessage& message, admin::v1::QueueListReply& reply) {
  for (const queue::v1::QueuedRecipient& recipient : message.recipients()) {
    admin::v1::QueueLine* line = reply.add_lines();
    line->set_message_id(IdText(message.message_id()));
    line->set_sender(message.sender());
    line->set_recipient(recipient.address());
    line->set_received_ms(message.received_ms());
    line->set_size(message.size());
    line->set_state(message.held() ? "held" : recipient.state());
    line->set_attempts(recipient.attempts());
    line->set_next_attempt_ms(recipient.next_attempt_ms());
    line->set_last_reply(recipient.last_reply());
    line->set_subject(message.subject());
    line->set_replica(message.replica());
  }
}

// " at TARGET"; nothing for the only one on this machine.
std::string Of(const std::string& target) {
  return target.starts_with("unix:") ? std::string() : base::StrCat(" at ", target);
}

absl::Status Silent(const cluster::Queues::Replica& replica, const absl::Status& status) {
  return base::Annotate(status, base::StrCat("delivery-queue", Of(replica.target)));
}

}  // namespace

void OperationsService::Register(rpc::Server& server) {
  ForOperators(server, rpc::admin::kOperationsLogin, this, &OperationsService::Login);
  ForOperators(server, rpc::admin::kOperationsStatus, this, &OperationsService::Status);
  ForOperators(server, rpc::admin::kOperationsTrace, this, &OperationsService::Trace);
  ForOperators(server, rpc::admin::kOperationsQueueList, this, &OperationsService::QueueList);
  ForOperators(server, rpc::admin::kOperationsQueueAct, this, &OperationsService::QueueAct);
  ForOperators(server, rpc::admin::kOperationsSetPassword, this, &OperationsService::SetPassword);
  ForOperators(server, rpc::admin::kOperationsJournals, this, &OperationsService::Journals);
  ForOperators(server, rpc::admin::kOperationsForgetJournal, this,
               &OperationsService::ForgetJournal);
  server.HandleStream(rpc::admin::kOperationsStoreCheck, {"cli", ""},
                      [this](rpc::ServerCall& call) { return StoreCheck(call); });
  server.HandleStream(rpc::admin::kOperationsStoreMigrate, {"cli", ""},
                      [this](rpc::ServerCall& call) { return StoreMigrate(call); });
}

OperationsService::Reply<admin::v1::LoginReply> OperationsService::Login(
    rpc::CallContext, admin::v1::LoginRequest request) {
  CO_ASSIGN_OR_RETURN(const Authority::Token token,
                      co_await authority_.Login(request.name(), request.password()));
  admin::v1::LoginReply reply;
  reply.set_token(token.text);
  reply.set_expires(token.expires);
  co_return reply;
}

OperationsService::Reply<admin::v1::StatusReply> OperationsService::Status(
    rpc::CallContext context, admin::v1::StatusRequest) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  co_return co_await status_.Look();
}

OperationsService::Reply<admin::v1::TraceReply> OperationsService::Trace(
    rpc::CallContext context, admin::v1::TraceRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  store::v1::SearchEventsRequest search;
  const std::string_view what = base::Trim(request.what());
  if (const std::optional<base::MessageId> id = base::MessageId::Parse(what)) {
    search.set_message_id(std::string(id->bytes()));
  } else if (what.find('@') != std::string_view::npos && what.front() != '<') {
    search.set_address(base::Lower(what));
  } else {
    search.set_text(std::string(what));
  }
  search.set_from_ms(request.from_ms());
  search.set_to_ms(request.to_ms());
  search.set_limit(request.limit());
  CO_ASSIGN_OR_RETURN(store::v1::SearchEventsReply found,
                      co_await peers_.store.Call(rpc::store::kTraceSearch, Limit(kAskLimit * 4),
                                                 std::move(search)));
  admin::v1::TraceReply reply;
  reply.mutable_events()->Swap(found.mutable_events());
  reply.set_truncated(found.truncated());
  co_return reply;
}

OperationsService::Reply<admin::v1::QueueListReply> OperationsService::QueueList(
    rpc::CallContext context, admin::v1::QueueListRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  queue::v1::ListQueueRequest list;
  list.set_match(request.match());
  list.set_limit(request.limit());
  std::vector<queue::v1::QueuedMessage> found;
  bool answered = false;
  absl::Status silent;
  admin::v1::QueueListReply reply;
  for (const cluster::Queues::Replica& replica : peers_.queue.All()) {
    auto some = co_await replica.client->Call(rpc::queue::kQueueList, Limit(kAskLimit), list);
    if (!some.ok()) {
      silent = Silent(replica, some.status());
      reply.add_problems(std::string(base::Message(silent)));
      continue;
    }
    answered = true;
    reply.set_more(reply.more() || some->more());
    for (queue::v1::QueuedMessage& message : *some->mutable_messages())
      found.push_back(std::move(message));
  }
  if (!answered) co_return silent;
  // Message ids are in the order of time.
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.message_id() < b.message_id(); });
  if (request.limit() != 0 && found.size() > request.limit()) {
    found.resize(request.limit());
    reply.set_more(true);
  }
  for (const queue::v1::QueuedMessage& message : found) AddLines(message, reply);
  co_return reply;
}

OperationsService::Reply<admin::v1::QueueActReply> OperationsService::QueueAct(
    rpc::CallContext context, admin::v1::QueueActRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.IdentifyOwner(std::move(context)));
  queue::v1::ActRequest act;
  for (const ActionName& name : kActions) {
    if (name.word == request.action()) act.set_action(name.action);
  }
  if (act.action() == queue::v1::ActRequest::ACTION_UNSPECIFIED) {
    co_return base::Invalid("expected retry, hold, release, remove or bounce");
  }
  for (const std::string& text : request.message_ids()) {
    const std::optional<base::MessageId> id = base::MessageId::Parse(text);
    if (!id) co_return base::Invalid(base::StrCat("\"", text, "\" is not a message id"));
    act.add_message_ids(std::string(id->bytes()));
  }
  // Everything at once must be asked for in words, not by forgetting an argument.
  if (act.message_ids().empty() && request.match().empty())
    co_return base::Invalid("expected message ids or a match");
  act.set_match(request.match() == "*" ? "" : request.match());
  // Who has a message is known to nobody else; an action on none is no harm.
  admin::v1::QueueActReply reply;
  absl::Status silent;
  for (const cluster::Queues::Replica& replica : peers_.queue.All()) {
    const auto done = co_await replica.client->Call(rpc::queue::kQueueAct, Limit(kAskLimit), act);
    if (!done.ok()) silent.Update(Silent(replica, done.status()));
    if (done.ok()) reply.set_affected(reply.affected() + done->affected());
  }
  if (!silent.ok()) co_return silent;
  co_return reply;
}

OperationsService::Reply<admin::v1::SetPasswordReply> OperationsService::SetPassword(
    rpc::CallContext context, admin::v1::SetPasswordRequest request) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await authority_.Identify(std::move(context)));
  const bool own = request.kind() == "administrator" && request.name() == caller.name;
  if (!caller.owner && !own)
    co_return base::Denied(base::StrCat(caller.name, " may read, not change"));
  if (request.kind() != "account" && request.kind() != "administrator") {
    co_return base::Invalid("expected account or administrator");
  }
  if (request.password().empty()) co_return base::Invalid("expected a password");
  admin::v1::PutRequest put;
  put.set_kind(request.kind());
  put.set_name(request.name());
  put.add_assignments("password=" + request.password());
  put.set_mode(admin::v1::PutRequest::CHANGE);
  const auto changed =
      co_await config_.editor().Run(NewPut(std::move(put)), {caller.name, "password"});
  if (!changed.ok()) co_return changed.status();
  co_return admin::v1::SetPasswordReply();
}

OperationsService::Reply<admin::v1::JournalsReply> OperationsService::Journals(
    rpc::CallContext context, admin::v1::JournalsRequest) {
  CO_RETURN_IF_ERROR((co_await authority_.Identify(std::move(context))).status());
  CO_ASSIGN_OR_RETURN(const store::v1::ListJournalsReply known,
                      co_await peers_.store.Call(rpc::store::kJournalsList, AtCollector(),
                                                 store::v1::ListJournalsRequest()));
  admin::v1::JournalsReply reply;
  for (const auto& journal : known.journals()) {
    admin::v1::JournalsReply::Journal& line = *reply.add_journals();
    line.set_id(base::Hex(journal.journal_id()));
    line.set_description(journal.description());
    line.set_connected(journal.connected());
  }
  co_return reply;
}

OperationsService::Reply<admin::v1::ForgetJournalReply> OperationsService::ForgetJournal(
    rpc::CallContext context, admin::v1::ForgetJournalRequest request) {
  CO_RETURN_IF_ERROR((co_await authority_.IdentifyOwner(std::move(context))).status());
  CO_ASSIGN_OR_RETURN(const store::v1::ListJournalsReply known,
                      co_await peers_.store.Call(rpc::store::kJournalsList, AtCollector(),
                                                 store::v1::ListJournalsRequest()));
  store::v1::UnregisterJournalRequest unregister;
  for (const auto& journal : known.journals()) {
    if (base::Hex(journal.journal_id()) == request.id())
      unregister.set_journal_id(journal.journal_id());
  }
  if (unregister.journal_id().empty()) co_return base::NotFound("no journal has this id");
  CO_ASSIGN_OR_RETURN(const store::v1::UnregisterJournalReply gone,
                      co_await peers_.store.Call(rpc::store::kJournalsUnregister, AtCollector(),
                                                 std::move(unregister)));
  admin::v1::ForgetJournalReply reply;
  reply.set_description(gone.description());
  co_return reply;
}

net::Task<absl::Status> OperationsService::StoreCheck(rpc::ServerCall& call) {
  admin::v1::StoreCheckRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("expected a StoreCheckRequest");
  const auto caller = request.repair() ? co_await authority_.IdentifyOwner(call.context())
                                       : co_await authority_.Identify(call.context());
  if (!caller.ok()) co_return caller.status();
  const std::unique_ptr<rpc::RawCall> check = peers_.store.Start(
      rpc::store::kStoreAdminCheck.path, "", rpc::Flow::kFree, Limit(kCheckLimit));
  store::v1::CheckRequest forwarded;
  forwarded.set_repair(request.repair());
  CO_RETURN_IF_ERROR(co_await check->Write(forwarded));
  check->WritesDone();
  while (!call.cancelled()) {
    store::v1::CheckReply line;
    CO_ASSIGN_OR_RETURN(const bool more, co_await check->Read(line));
    if (!more) break;
    admin::v1::StoreCheckReply reply;
    reply.set_line(line.line());
    reply.set_problem(line.problem());
    reply.set_last(line.last());
    reply.set_problems(line.problems());
    CO_RETURN_IF_ERROR(co_await call.Write(reply));
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::admin_service
