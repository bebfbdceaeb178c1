#include "store-service/service/directory_service.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "store-service/directory/resolve.h"
#include "store-service/service/login_exchange.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr std::chrono::milliseconds kHeartbeat{1000};

v1::ResolveReply::Kind ToProto(Resolution::Kind kind) {
  switch (kind) {
    case Resolution::Kind::kAccount:
      return v1::ResolveReply::ACCOUNT;
    case Resolution::Kind::kAlias:
      return v1::ResolveReply::ALIAS;
    case Resolution::Kind::kRemote:
      return v1::ResolveReply::REMOTE;
    case Resolution::Kind::kUnknown:
      return v1::ResolveReply::UNKNOWN;
    case Resolution::Kind::kDisabled:
      return v1::ResolveReply::DISABLED;
    case Resolution::Kind::kLoop:
      return v1::ResolveReply::LOOP;
  }
  return v1::ResolveReply::KIND_UNSPECIFIED;
}

v1::DirectoryChange ToProto(FeedChange change) {
  v1::DirectoryChange out;
  out.set_account(change.account);
  out.set_domain(change.domain);
  out.set_address(std::move(change.address));
  out.set_domain_name(std::move(change.domain_name));
  out.set_end_sessions(change.end_sessions);
  out.set_all(change.all);
  out.set_revision(change.revision);
  return out;
}

// What may stand in memory for a while without harm; anything else a sender is told for good.
bool IsGoodNews(const v1::ResolveReply& reply) {
  return reply.kind() == v1::ResolveReply::ACCOUNT || reply.kind() == v1::ResolveReply::ALIAS ||
         reply.kind() == v1::ResolveReply::LIST;
}

}  // namespace

void DirectoryService::Register(rpc::Server& server) {
  using rpc::CallContext;
  Roles watchers = Gateways();
  watchers.insert(watchers.end(), {kQueue, kAdmin});
  server.Handle(rpc::store::kDirectoryResolve, watchers,
                std::function([this](const CallContext&, v1::ResolveRequest request) {
                  return AnswerResolve(std::move(request));
                }));
  server.HandleStream(rpc::store::kDirectoryAuthenticate, Gateways(),
                      [this](rpc::ServerCall& call) { return Authenticate(call); });
  server.HandleStream(rpc::store::kDirectoryWatch, watchers,
                      [this](rpc::ServerCall& call) { return Watch(call); });
  server.Handle(rpc::store::kDirectoryIssueTicket, {kAdmin},
                std::function([this](const CallContext&, v1::IssueTicketRequest request) {
                  return IssueTicket(std::move(request));
                }));
}

v1::ResolveReply DirectoryService::Resolve(const v1::ResolveRequest& request) const {
  v1::ResolveReply reply;
  std::optional<std::string> address = mail::NormalAddress(request.address());
  // [RFC5321 4.5.1] the one address without a domain
  if (base::EqualsIgnoreCase(request.address(), "postmaster")) address = "postmaster";
  // No address of ours lacks a domain or has one that IDNA forbids.
  Resolution found;
  if (address) {
    found = store_service::Resolve(configuration_.model(), *address);
  } else {
    found.kind = Resolution::Kind::kRemote;
    found.canonical = request.address();
  }
  reply.set_kind(ToProto(found.kind));
  reply.set_canonical(std::move(found.canonical));
  reply.set_detail(std::move(found.detail));
  reply.set_domain(found.domain);
  reply.set_revision(configuration_.head());
  for (std::string& target : found.targets) reply.add_targets(std::move(target));
  if (found.account == nullptr) return reply;
  reply.set_account(found.account->id);
  reply.set_quota(found.account->quota);
  return reply;
}

net::Task<absl::StatusOr<v1::ResolveReply>> DirectoryService::AnswerResolve(
    v1::ResolveRequest request) {
  v1::ResolveReply reply = Resolve(request);
  if (!IsGoodNews(reply)) {
    // 550 5.1.1 only after a look-up that no cache answered.
    CO_RETURN_IF_ERROR(co_await configuration_.CatchUp());
    reply = Resolve(request);
  }
  if (reply.account() == 0 || usage_ == nullptr) co_return reply;
  const Usage usage = co_await usage_->RecentUsageOf(reply.account());
  reply.set_used(usage.bytes);
  reply.set_over_quota(reply.quota() != 0 && usage.bytes >= reply.quota());
  co_return reply;
}

net::Task<absl::Status> DirectoryService::Authenticate(rpc::ServerCall& call) {
  LoginExchange exchange(authenticator_, call);
  co_return co_await exchange.Run();
}

net::Task<absl::Status> DirectoryService::Watch(rpc::ServerCall& call) {
  Feed::Reader reader(configuration_.feed());
  // At once, so that the caller knows from when on it may trust its cache.
  CO_RETURN_IF_ERROR(co_await call.Write(ToProto({.revision = configuration_.head()})));
  while (!call.cancelled()) {
    std::vector<FeedChange> changes = co_await reader.Next(kHeartbeat);
    if (changes.empty()) changes.push_back({.revision = configuration_.head()});
    for (FeedChange& change : changes) {
      CO_RETURN_IF_ERROR(co_await call.Write(ToProto(std::move(change))));
    }
  }
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<v1::IssueTicketReply>> DirectoryService::IssueTicket(
    v1::IssueTicketRequest request) {
  CO_RETURN_IF_ERROR(co_await configuration_.CatchUp());
  CO_ASSIGN_OR_RETURN(Login login,
                      authenticator_.IssueTicket(request.address(), request.protocol()));
  if (login.outcome != LoginOutcome::kSuccess)
    co_return base::Precondition("the account is disabled");
  v1::IssueTicketReply reply;
  reply.set_ticket(std::move(login.ticket));
  reply.set_account(login.account);
  co_return reply;
}

}  // namespace posthorn::store_service
