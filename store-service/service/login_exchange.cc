#include "store-service/service/login_exchange.h"

#include <variant>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::store_service {
namespace {

using Request = store::v1::AuthenticateRequest;
using Reply = store::v1::AuthenticateReply;
using HasResponse = auth::SaslServer::HasResponse;

constexpr int kMostSteps = 8;

Reply Outcome(Reply::Outcome outcome, std::string challenge = "") {
  Reply reply;
  reply.set_outcome(outcome);
  reply.set_challenge(std::move(challenge));
  return reply;
}

Reply::Outcome ToProto(LoginOutcome outcome) {
  switch (outcome) {
    case LoginOutcome::kSuccess:
      return Reply::SUCCESS;
    case LoginOutcome::kFailure:
      return Reply::FAILURE;
    case LoginOutcome::kRefused:
      return Reply::REFUSED;
    case LoginOutcome::kTemporary:
      return Reply::TEMPORARY;
  }
  return Reply::OUTCOME_UNSPECIFIED;
}

void Count(Reply::Outcome outcome) {
  static observe::Counter* const counters[] = {
      observe::NewCounter("posthorn_store_logins_total", "Ended login exchanges",
                          {{"outcome", "success"}}),
      observe::NewCounter("posthorn_store_logins_total", "Ended login exchanges",
                          {{"outcome", "failure"}}),
      observe::NewCounter("posthorn_store_logins_total", "Ended login exchanges",
                          {{"outcome", "refused"}}),
      observe::NewCounter("posthorn_store_logins_total", "Ended login exchanges",
                          {{"outcome", "temporary"}}),
      observe::NewCounter("posthorn_store_logins_total", "Ended login exchanges",
                          {{"outcome", "bad"}})};
  if (outcome >= Reply::SUCCESS && outcome <= Reply::BAD) counters[outcome - Reply::SUCCESS]->Add();
}

}  // namespace

net::Task<absl::Status> LoginExchange::Run() {
  for (int step = 0; step < kMostSteps; ++step) {
    Request request;
    CO_ASSIGN_OR_RETURN(const bool more, co_await call_.Read(request));
    if (!more) co_return absl::OkStatus();
    if (step == 0) {
      protocol_ = request.protocol();
      sasl_ = auth::MakeSaslServer(request.mechanism(), request.channel_binding());
    }
    const bool has_response = step > 0 || request.has_response();
    Reply reply = Outcome(Reply::BAD);
    if (sasl_ != nullptr && request.response().size() <= auth::kMaxSaslResponse) {
      if (proved_) {
        reply = Final(authenticator_.Accept(*proved_, protocol_), *proved_);
      } else {
        reply = co_await Answer(
            sasl_->Next(request.response(), has_response ? HasResponse::kYes : HasResponse::kNo));
      }
    }
    Count(reply.outcome());
    CO_RETURN_IF_ERROR(co_await call_.Write(reply));
    if (reply.outcome() != Reply::CONTINUE) co_return absl::OkStatus();
  }
  Count(Reply::BAD);
  co_return co_await call_.Write(Outcome(Reply::BAD));
}

net::Task<Reply> LoginExchange::Answer(auth::SaslStep step) {
  if (auto* challenge = std::get_if<auth::SendChallenge>(&step)) {
    co_return Outcome(Reply::CONTINUE, std::move(challenge->bytes));
  }
  if (auto* check = std::get_if<auth::CheckPassword>(&step))
    co_return co_await AnswerPassword(std::move(*check));
  if (auto* need = std::get_if<auth::NeedVerifier>(&step))
    co_return co_await AnswerVerifier(std::move(need->login));
  if (auto* proved = std::get_if<auth::Proved>(&step)) {
    // SMTP, IMAP and POP3 have no room beside their success: the last word of the server is a
    // challenge of its own, answered by an empty response [RFC4422 3.6].
    proved_ = std::move(proved->login);
    co_return Outcome(Reply::CONTINUE, std::move(proved->bytes));
  }
  co_return Outcome(std::holds_alternative<auth::Disproved>(step) ? Reply::FAILURE : Reply::BAD);
}

net::Task<Reply> LoginExchange::AnswerVerifier(std::string login) {
  std::optional<auth::ScramVerifier> verifier =
      co_await authenticator_.VerifierOf(std::move(login));
  if (!verifier) co_return Outcome(Reply::TEMPORARY);
  co_return co_await Answer(sasl_->GiveVerifier(*std::move(verifier)));
}

net::Task<Reply> LoginExchange::AnswerPassword(auth::CheckPassword check) {
  Login login =
      co_await authenticator_.CheckPassword(check.login, std::move(check.password), protocol_);
  co_return Final(std::move(login), std::move(check.login));
}

Reply LoginExchange::Final(Login login, std::string name) const {
  Reply reply = Outcome(ToProto(login.outcome));
  if (login.outcome != LoginOutcome::kSuccess) return reply;
  reply.set_ticket(std::move(login.ticket));
  reply.set_account(login.account);
  reply.set_address(std::move(login.address));
  for (std::string& address : login.may_send_as) reply.add_may_send_as(std::move(address));
  reply.set_login(std::move(name));
  reply.set_version(login.version);
  return reply;
}

}  // namespace posthorn::store_service
