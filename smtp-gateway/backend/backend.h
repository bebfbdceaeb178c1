#pragma once

// What an SMTP session asks of the other processes. An interface, so that sessions run in tests against fakes.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/login/login.h"
#include "lib/net/task.h"
#include "lib/rpc/context.h"
#include "posthorn/common/v1/common.pb.h"
#include "posthorn/queue/v1/queue.pb.h"
#include "posthorn/spam/v1/spam.pb.h"
#include "posthorn/store/v1/blobs.pb.h"
#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::smtp_gateway {

// One message on its way into the store, or past the scorer. Dropping it abandons what was sent.
template <class Result>
class Sink {
 public:
  virtual ~Sink() = default;
  // At most 64 KiB; waits while the other side is behind.
  virtual net::Task<absl::Status> Write(std::string_view chunk) = 0;
  virtual net::Task<absl::StatusOr<Result>> Finish() = 0;
};
using Upload = Sink<store::v1::PutReply>;
using Scan = Sink<common::v1::Verdict>;

class Backend {
 public:
  using Resolution = std::shared_ptr<const store::v1::ResolveReply>;
  virtual ~Backend() = default;

  // From the cache when the directory's watch is alive; kUnavailable when the store is away.
  virtual net::Task<absl::StatusOr<Resolution>> Resolve(std::string address) = 0;
  virtual net::Task<login::Verdict> Login(login::Attempt attempt) = 0;
  // `end` when the account may no longer be used.
  virtual std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t account, std::function<void()> end) = 0;
  virtual net::Task<absl::StatusOr<common::v1::Verdict>> CheckEnvelope(spam::v1::Envelope envelope) = 0;
  // `trace` is what the call hangs on; none when the message's trace is not sampled.
  virtual std::unique_ptr<Scan> StartScan(spam::v1::Envelope envelope, common::v1::Verdict envelope_verdict,
                                          rpc::TraceContext trace) = 0;
  // The whole message at once (at most 64 KiB): one frame each way.
  virtual net::Task<absl::StatusOr<common::v1::Verdict>> ScanWhole(spam::v1::Envelope envelope,
                                                                   common::v1::Verdict envelope_verdict,
                                                                   std::shared_ptr<const std::string> bytes,
                                                                   rpc::TraceContext trace) = 0;
  virtual std::unique_ptr<Upload> StartUpload(std::string message_id, uint64_t size_hint, rpc::TraceContext trace) = 0;
  virtual net::Task<absl::StatusOr<store::v1::PutReply>> PutWhole(std::string message_id,
                                                                  std::shared_ptr<const std::string> bytes,
                                                                  rpc::TraceContext trace) = 0;
  // Durable in the journal when it is OK. Never repeated by us.
  virtual net::Task<absl::Status> Enqueue(queue::v1::Entry entry) = 0;
  virtual void Record(common::v1::Event event) = 0;
};

}  // namespace posthorn::smtp_gateway
