#pragma once

// posthorn.spam.v1.Spam: translates between the contract and the engine.

#include <memory>
#include <string>
#include <vector>

#include "lib/rpc/server.h"
#include "spam-service/engine/engine.h"
#include "spam-service/service/test_set.h"

namespace posthorn::common::v1 {
class Verdict;
}
namespace posthorn::spam::v1 {
class CheckEnvelopeReply;
class CheckEnvelopeRequest;
class Envelope;
}  // namespace posthorn::spam::v1

namespace posthorn::spam_service {

class SpamService {
 public:
  // `resolver` outlives it.
  SpamService(net::Loop& loop, dns::Resolver& resolver);
  // Before the server starts. `roles` may call.
  void Register(rpc::Server& server, const std::vector<std::string>& roles);
  // Messages under test keep the tests they began with.
  void Configure(const config::Snapshot& snapshot);

 private:
  net::Task<absl::StatusOr<spam::v1::CheckEnvelopeReply>> OnEnvelope(
      spam::v1::CheckEnvelopeRequest request);
  net::Task<absl::Status> OnMessage(rpc::ServerCall& call);
  std::shared_ptr<const Envelope> Convert(spam::v1::Envelope& envelope) const;

  net::Loop& loop_;
  Tests tests_;
  std::shared_ptr<const TestSet> set_;
  std::vector<std::string> trusted_networks_;
};

}  // namespace posthorn::spam_service
