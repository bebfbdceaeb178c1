#include "lib/rpc/any_client.h"

#include <chrono>
#include <random>
#include <utility>

namespace posthorn::rpc {
namespace {

using Clock = std::chrono::steady_clock;

// One that failed is not gone back to for so long, as long as another is not known to be away: the
// connection of one that is frozen stands, while the other's may only be about to.
constexpr std::chrono::seconds kRest{5};

bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Which replica is used now; outlives the client as long as calls do, then without replicas: who
// waits for a call must not keep connections beyond their loop.
struct Choice {
  std::vector<std::unique_ptr<Client>> replicas;
  std::vector<Clock::time_point> rests_until;
  size_t now = 0;

  bool Rests(size_t index) const { return Clock::now() < rests_until[index]; }
  // The present one; another when this one is known to be away, or rests, and the other is well.
  size_t Pick() {
    for (size_t i = 0; i < replicas.size(); ++i) {
      const size_t next = (now + i) % replicas.size();
      if (!replicas[next]->connected() || Rests(next)) continue;
      now = next;
      break;
    }
    return now;
  }
  // Of many calls that fail together only the first one moves on.
  void Leave(size_t failed) {
    if (replicas.empty()) return;
    rests_until[failed] = Clock::now() + kRest;
    if (now == failed) now = (failed + 1) % replicas.size();
  }
};

// Whether a call has ended, and what that says of its replica. Shared with those who wait for it:
// the call may be given up meanwhile.
struct Fate {
  std::shared_ptr<Choice> choice;
  size_t replica;
  bool ended = false;

  void Note(const absl::Status& status) {
    if (status.ok()) return;
    if (!ended && IsAway(status)) choice->Leave(replica);
    ended = true;
  }
};

class WatchedCall final : public RawCall {
 public:
  WatchedCall(std::shared_ptr<Choice> choice, size_t replica, std::unique_ptr<RawCall> call)
      : fate_(std::make_shared<Fate>(std::move(choice), replica)), call_(std::move(call)) {}
  ~WatchedCall() override {
    if (!std::exchange(fate_->ended, true)) fate_->choice->Leave(fate_->replica);
  }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override {
    return Written(fate_, call_->Write(message));
  }
  void WritesDone() override { call_->WritesDone(); }
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override {
    return WasRead(fate_, call_->Read(into));
  }

 private:
  static net::Task<absl::Status> Written(std::shared_ptr<Fate> fate, net::Task<absl::Status> work) {
    absl::Status status = co_await std::move(work);
    fate->Note(status);
    co_return status;
  }
  static net::Task<absl::StatusOr<bool>> WasRead(std::shared_ptr<Fate> fate,
                                                 net::Task<absl::StatusOr<bool>> work) {
    absl::StatusOr<bool> more = co_await std::move(work);
    fate->Note(more.status());
    if (more.ok() && !*more) fate->ended = true;
    co_return more;
  }

  const std::shared_ptr<Fate> fate_;
  const std::unique_ptr<RawCall> call_;
};

class AnyClient final : public Client {
 public:
  explicit AnyClient(std::vector<std::unique_ptr<Client>> replicas) {
    choice_->replicas = std::move(replicas);
    choice_->rests_until.resize(choice_->replicas.size());
    choice_->now = std::random_device{}() % choice_->replicas.size();
  }
  // Ends the calls that are left.
  ~AnyClient() override { choice_->replicas.clear(); }
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
