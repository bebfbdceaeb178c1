#include "lib/rpc/any_client.h"

#include <random>

namespace posthorn::rpc {
namespace {

bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Which replica is used now; outlives the client as long as calls do.
struct Choice {
  std::vector<std::unique_ptr<Client>> replicas;
  size_t now = 0;

  // The present one, unless it is known to be away and another is not.
  size_t Pick() {
    for (size_t i = 0; i < replicas.size(); ++i) {
      const size_t next = (now + i) % replicas.size();
      if (!replicas[next]->connected()) continue;
      now = next;
      break;
    }
    return now;
  }
  // Of many calls that fail together only the first one moves on.
  void Leave(size_t failed) {
    if (now == failed) now = (failed + 1) % replicas.size();
  }
};

class WatchedCall final : public RawCall {
 public:
  WatchedCall(std::shared_ptr<Choice> choice, size_t replica, std::unique_ptr<RawCall> call)
      : choice_(std::move(choice)), replica_(replica), call_(std::move(call)) {}
  ~WatchedCall() override {
    if (!ended_) choice_->Leave(replica_);
  }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    absl::Status status = co_await call_->Write(message);
    Note(status);
    co_return status;
  }
  void WritesDone() override { call_->WritesDone(); }
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    absl::StatusOr<bool> more = co_await call_->Read(into);
    Note(more.status());
    if (more.ok() && !*more) ended_ = true;
    co_return more;
  }

 private:
  void Note(const absl::Status& status) {
    if (status.ok()) return;
    ended_ = true;
    if (IsAway(status)) choice_->Leave(replica_);
  }

  const std::shared_ptr<Choice> choice_;
  const size_t replica_;
  const std::unique_ptr<RawCall> call_;
  bool ended_ = false;
};

class AnyClient final : public Client {
 public:
  explicit AnyClient(std::vector<std::unique_ptr<Client>> replicas) {
    choice_->replicas = std::move(replicas);
    choice_->now = std::random_device{}() % choice_->replicas.size();
  }
  std::unique_ptr<RawCall> Start(std::string_view path, std::string_view stream, Flow flow,
                                 CallOptions options) override {
    const size_t replica = choice_->Pick();
    return std::make_unique<WatchedCall>(
        choice_, replica,
        choice_->replicas[replica]->Start(path, stream, flow, std::move(options)));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, Flow flow,
                                  CallOptions options, const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    const std::shared_ptr<Choice> choice = choice_;
    const size_t replica = choice->Pick();
    absl::Status status = co_await choice->replicas[replica]->CallRaw(
        path, stream, flow, std::move(options), request, reply);
    if (IsAway(status)) choice->Leave(replica);
    co_return status;
  }
  bool connected() const override {
    for (const auto& replica : choice_->replicas) {
      if (replica->connected()) return true;
    }
    return false;
  }

 private:
  const std::shared_ptr<Choice> choice_ = std::make_shared<Choice>();
};

}  // namespace

std::unique_ptr<Client> AnyOf(std::vector<std::unique_ptr<Client>> replicas) {
  if (replicas.size() == 1) return std::move(replicas.front());
  return std::make_unique<AnyClient>(std::move(replicas));
}

}  // namespace posthorn::rpc
