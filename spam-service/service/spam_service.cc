#include "spam-service/service/spam_service.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/network.h"
#include "lib/rpc/methods/spam.h"

namespace posthorn::spam_service {
namespace {

using WireVerdict = common::v1::Verdict;

WireVerdict::Action WireAction(Verdict::Action action) {
  switch (action) {
    case Verdict::Action::kAccept:
      return WireVerdict::ACCEPT;
    case Verdict::Action::kMark:
      return WireVerdict::MARK;
    case Verdict::Action::kReject:
      return WireVerdict::REJECT;
  }
  return WireVerdict::ACCEPT;
}

void ToWire(Verdict verdict, WireVerdict& out) {
  out.set_action(WireAction(verdict.action));
  out.set_score(verdict.score);
  for (Finding& finding : verdict.findings) {
    common::v1::TestResult& test = *out.add_tests();
    test.set_name(std::move(finding.name));
    test.set_score(finding.score);
    test.set_reason(std::move(finding.reason));
  }
  out.set_authentication_results(std::move(verdict.authentication_results));
  out.set_incomplete(verdict.incomplete);
  out.set_reply_text(std::move(verdict.reply_text));
}

// Nothing when there was no verdict on the envelope: an unspecified action.
std::optional<Verdict> FromWire(const WireVerdict& wire) {
  if (wire.action() == WireVerdict::ACTION_UNSPECIFIED) return {};
  Verdict verdict;
  for (const common::v1::TestResult& test : wire.tests())
    verdict.findings.push_back({test.name(), test.score(), test.reason()});
  verdict.authentication_results = wire.authentication_results();
  verdict.incomplete = wire.incomplete();
  return verdict;
}

}  // namespace

SpamService::SpamService(net::Loop& loop, dns::Resolver& resolver) : loop_(loop), tests_(resolver) {
  MakeEngineMetrics();
  Configure(config::Snapshot());
}

void SpamService::Configure(const config::Snapshot& snapshot) {
  set_ = tests_.Build(snapshot);
  trusted_networks_ = TrustedNetworks(snapshot);
}

void SpamService::Register(rpc::Server& server, const std::vector<std::string>& roles) {
  server.Handle(
      rpc::spam::kSpamCheckEnvelope, roles,
      std::function([this](const rpc::CallContext&, spam::v1::CheckEnvelopeRequest request) {
        return OnEnvelope(std::move(request));
      }));
  server.HandleStream(rpc::spam::kSpamCheckMessage, roles,
                      [this](rpc::ServerCall& call) { return OnMessage(call); });
}

std::shared_ptr<const Envelope> SpamService::Convert(spam::v1::Envelope& wire) const {
  auto envelope = std::make_shared<Envelope>();
  envelope->client = std::move(*wire.mutable_client());
  envelope->address = net::ParseAddress(envelope->client);
  envelope->helo = std::move(*wire.mutable_helo());
  envelope->sender = std::move(*wire.mutable_sender());
  envelope->hostname = std::move(*wire.mutable_hostname());
  envelope->remote = envelope->address && net::IsPublicAddress(*envelope->address);
  const auto holds = [&](const std::string& network) {
    return net::InNetwork(envelope->client, network);
  };
  envelope->trusted =
      wire.trusted() || (envelope->remote && std::ranges::any_of(trusted_networks_, holds));
  return envelope;
}

net::Task<absl::StatusOr<spam::v1::CheckEnvelopeReply>> SpamService::OnEnvelope(
    spam::v1::CheckEnvelopeRequest request) {
  std::shared_ptr<const Envelope> envelope = Convert(*request.mutable_envelope());
  spam::v1::CheckEnvelopeReply reply;
  ToWire(co_await CheckEnvelope(loop_, set_, std::move(envelope)), *reply.mutable_verdict());
  co_return reply;
}

net::Task<absl::Status> SpamService::OnMessage(rpc::ServerCall& call) {
  spam::v1::CheckMessageRequest request;
  CO_ASSIGN_OR_RETURN(bool more, co_await call.Read(request));
  if (!more || !request.has_envelope())
    co_return base::Invalid("the first message has no envelope");
  MessageCheck check(loop_, set_, Convert(*request.mutable_envelope()),
                     FromWire(request.envelope_verdict()));
  while (more) {
    check.Feed(request.chunk());
    CO_ASSIGN_OR_RETURN(more, co_await call.Read(request));
  }
  spam::v1::CheckMessageReply reply;
  ToWire(co_await check.Finish(), *reply.mutable_verdict());
  co_return co_await call.Write(reply);
}

}  // namespace posthorn::spam_service
