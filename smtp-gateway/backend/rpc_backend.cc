#include "smtp-gateway/backend/rpc_backend.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/process/service.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/methods/spam.h"
#include "lib/rpc/methods/store.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "smtp-gateway/backend/resolve_cache.h"

namespace posthorn::smtp_gateway {
namespace {

constexpr std::chrono::milliseconds kResolve{10000};
constexpr std::chrono::milliseconds kPut{60000};
constexpr std::chrono::milliseconds kUpload{3600000};
constexpr std::chrono::milliseconds kEnqueue{60000};
constexpr std::chrono::milliseconds kRewatch{1000};
constexpr std::chrono::seconds kSilence{5};

rpc::CallOptions Within(std::chrono::milliseconds timeout, const rpc::TraceContext& trace = {}) {
  rpc::CallOptions options;
  options.timeout = timeout;
  options.trace = trace;
  return options;
}

// A call that streams one message in and gets one answer.
template <class Request, class Reply, class Result>
class StreamSink : public Sink<Result> {
 public:
  using Take = Result (*)(Reply);
  StreamSink(std::unique_ptr<rpc::RawCall> call, Request first, Take take)
      : call_(std::move(call)), next_(std::move(first)), take_(take) {}

  net::Task<absl::Status> Write(std::string_view chunk) override {
    next_.set_chunk(chunk.data(), chunk.size());
    Request message = std::move(next_);
    next_ = Request();
    return Send(std::move(message));
  }
  net::Task<absl::StatusOr<Result>> Finish() override {
    call_->WritesDone();
    Reply reply;
    CO_ASSIGN_OR_RETURN(const bool answered, co_await call_->Read(reply));
    if (!answered) co_return base::Internal("the call ended without an answer");
    co_return take_(std::move(reply));
  }

 private:
  net::Task<absl::Status> Send(Request message) { co_return co_await call_->Write(message); }

  std::unique_ptr<rpc::RawCall> call_;
  Request next_;
  Take take_;
};

spam::v1::CheckMessageRequest FirstScan(spam::v1::Envelope envelope, common::v1::Verdict verdict) {
  spam::v1::CheckMessageRequest request;
  *request.mutable_envelope() = std::move(envelope);
  *request.mutable_envelope_verdict() = std::move(verdict);
  return request;
}

class RpcBackend : public Backend {
 public:
  explicit RpcBackend(process::Service& service)
      : service_(service),
        gate_(login::Gate::Create(service.loop(), service.store(), {"smtp"})) {
    service_.OnConfig([this](const config::Snapshot& snapshot) {
      const auto& settings = snapshot.Get<config::v1::Settings>();
      gate_->SetTimes(std::chrono::seconds(settings.login_cache()), std::chrono::seconds(settings.tarpit()));
      // A little more than the scorer's own deadline, so that its answer "incomplete" still arrives.
      scan_timeout_ = std::chrono::seconds(settings.spam_deadline()) + std::chrono::seconds(2);
    });
    service_.loop().Spawn("smtp.directory_watch", Watch());
  }

  net::Task<absl::StatusOr<Resolution>> Resolve(std::string address) override {
    if (watching()) {
      if (Resolution cached = cache_.Find(address, std::chrono::steady_clock::now())) co_return cached;
    }
    const uint64_t generation = generation_;
    store::v1::ResolveRequest request;
    request.set_address(address);
    absl::StatusOr<store::v1::ResolveReply> reply = co_await service_.store().Call(
        rpc::store::kDirectoryResolve, "directory", rpc::Flow::kFree, Within(kResolve), std::move(request));
    if (!reply.ok()) co_return reply.status();
    auto resolution = std::make_shared<const store::v1::ResolveReply>(*std::move(reply));
    // An answer that was under way while the directory changed may be the old one, and so may one of
    // a store replica that has not followed as far as the one we watch.
    if (watching() && generation == generation_ && resolution->revision() >= told_)
      cache_.Insert(std::move(address), resolution, std::chrono::steady_clock::now());
    co_return Resolution(resolution);
  }

  net::Task<login::Verdict> Login(login::Attempt attempt) override { return gate_->Check(std::move(attempt)); }
  std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t account, std::function<void()> end) override {
    return gate_->OnEnd(account, std::move(end));
  }

  net::Task<absl::StatusOr<common::v1::Verdict>> CheckEnvelope(spam::v1::Envelope envelope) override {
    spam::v1::CheckEnvelopeRequest request;
    *request.mutable_envelope() = std::move(envelope);
    auto reply = co_await service_.spam().Call(rpc::spam::kSpamCheckEnvelope, "check", rpc::Flow::kFree,
                                               Within(scan_timeout_), std::move(request));
    if (!reply.ok()) co_return reply.status();
    co_return std::move(*reply->mutable_verdict());
  }

  std::unique_ptr<Scan> StartScan(spam::v1::Envelope envelope, common::v1::Verdict verdict,
                                  rpc::TraceContext trace) override {
    return std::make_unique<StreamSink<spam::v1::CheckMessageRequest, spam::v1::CheckMessageReply, common::v1::Verdict>>(
        service_.spam().Start(rpc::spam::kSpamCheckMessage.path, "check-large", rpc::Flow::kFree, Within(kUpload, trace)),
        FirstScan(std::move(envelope), std::move(verdict)),
        [](spam::v1::CheckMessageReply reply) { return std::move(*reply.mutable_verdict()); });
  }
  net::Task<absl::StatusOr<common::v1::Verdict>> ScanWhole(spam::v1::Envelope envelope, common::v1::Verdict verdict,
                                                           std::shared_ptr<const std::string> bytes,
                                                           rpc::TraceContext trace) override {
    spam::v1::CheckMessageRequest request = FirstScan(std::move(envelope), std::move(verdict));
    request.set_chunk(*bytes);
    auto reply = co_await service_.spam().Call(rpc::spam::kSpamCheckMessage, "check", rpc::Flow::kHoldBack,
                                               Within(scan_timeout_, trace), std::move(request));
    if (!reply.ok()) co_return reply.status();
    co_return std::move(*reply->mutable_verdict());
  }

  std::unique_ptr<Upload> StartUpload(std::string message_id, uint64_t size_hint,
                                      rpc::TraceContext trace) override {
    rpc::CallOptions options = Within(kUpload, trace);
    options.connect_within = rpc::kRestart;
    store::v1::PutRequest first;
    first.set_message_id(std::move(message_id));
    first.set_size_hint(size_hint);
    return std::make_unique<StreamSink<store::v1::PutRequest, store::v1::PutReply, store::v1::PutReply>>(
        service_.store().Start(rpc::store::kBlobsPut.path, "put-large", rpc::Flow::kFree, std::move(options)),
        std::move(first), [](store::v1::PutReply reply) { return reply; });
  }
  net::Task<absl::StatusOr<store::v1::PutReply>> PutWhole(std::string message_id,
                                                          std::shared_ptr<const std::string> bytes,
                                                          rpc::TraceContext trace) override {
    store::v1::PutRequest request;
    request.set_message_id(std::move(message_id));
    request.set_size_hint(bytes->size());
    request.set_chunk(*bytes);
    return service_.store().Call(rpc::store::kBlobsPut, "put", rpc::Flow::kHoldBack, Within(kPut, trace), std::move(request));
  }

  net::Task<absl::Status> Enqueue(queue::v1::Entry entry) override {
    const rpc::TraceContext trace =
        entry.traceparent().empty() ? rpc::TraceContext() : rpc::TraceContext::Parse(entry.traceparent());
    queue::v1::EnqueueRequest request;
    *request.mutable_entry() = std::move(entry);
    auto reply = co_await service_.queue().Call(rpc::queue::kQueueEnqueue, "enqueue", rpc::Flow::kHoldBack,
                                                Within(kEnqueue, trace), std::move(request));
    co_return reply.status();
  }

  void Record(common::v1::Event event) override { service_.Record(std::move(event)); }

 private:
  // The cache is used only between two messages of a living stream.
  net::Task<void> Watch() {
    for (;;) {
      std::unique_ptr<rpc::RawCall> call = service_.store().Start(rpc::store::kDirectoryWatch.path, "directory",
                                                                  rpc::Flow::kFree, Within(std::chrono::hours(24)));
      absl::Status written = co_await call->Write(store::v1::WatchDirectoryRequest());
      call->WritesDone();
      store::v1::DirectoryChange change;
      while (written.ok()) {
        const absl::StatusOr<bool> more = co_await call->Read(change);
        if (!more.ok() || !*more) break;
        heard_ = std::chrono::steady_clock::now();
        told_ = change.revision();
        const bool heartbeat = change.account() == 0 && change.domain() == 0 && !change.all() && change.address().empty();
        if (!heartbeat) Forget();
      }
      heard_ = {};
      Forget();
      call.reset();
      co_await net::Sleep(service_.loop(), kRewatch);
    }
  }
  // A store that hangs sends no heartbeats: its silence makes the cache worthless.
  bool watching() const { return std::chrono::steady_clock::now() - heard_ < kSilence; }
  void Forget() {
    ++generation_;
    cache_.Clear();
  }

  process::Service& service_;
  std::unique_ptr<login::Gate> gate_;
  std::chrono::milliseconds scan_timeout_{12000};
  ResolveCache cache_;
  std::chrono::steady_clock::time_point heard_;
  uint64_t generation_ = 0;
  uint64_t told_ = 0;  // revision of the directory that the stream told last
};

}  // namespace

std::unique_ptr<Backend> NewRpcBackend(process::Service& service) { return std::make_unique<RpcBackend>(service); }

}  // namespace posthorn::smtp_gateway
