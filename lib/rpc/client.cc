#include "lib/rpc/client.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "lib/rpc/client_calls.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/line.h"

namespace posthorn::rpc {
namespace {

constexpr std::chrono::milliseconds kTidyEvery{1000};

// Numbers need no looking up, nor do sockets.
bool HasName(std::string_view target) {
  return !target.starts_with("unix:") && !target.starts_with('[') &&
         std::ranges::any_of(target, [](unsigned char c) { return std::isalpha(c) != 0; });
}

class ClientImpl : public Client {
 public:
  ClientImpl(net::Loop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        completions_(Completions::For(loop)),
        line_(NewLine()) {
    if (options_.credentials && !options_.target.starts_with("unix:"))
      change_ = options_.credentials->OnChange([this] { OnNewCredentials(); });
    if (HasName(options_.target)) LookAgain();
  }

  std::unique_ptr<RawCall> Start(std::string_view path, std::string_view stream, Flow flow,
                                 CallOptions options) override {
    if (stream.empty()) return line_->plain().Start(std::string(path), std::move(options));
    return StartOnStream(loop_, line_->Stream(stream, flow), path, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, Flow flow,
                                  CallOptions options, const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    if (stream.empty()) {
      return line_->plain().Call(std::string(path), std::move(options), request, reply);
    }
    return CallOnStream(line_->Stream(stream, flow), path, std::move(options), request, reply);
  }
  bool connected() const override {
    if (line_->leaving()) return false;
    const grpc_connectivity_state state = line_->state();
    return state == GRPC_CHANNEL_READY || state == GRPC_CHANNEL_IDLE;
  }

 private:
  // A line that calls have left. A coroutine may be on its way to it: it goes when it was idle
  // twice.
  struct Retired {
    std::unique_ptr<Line> line;
    bool was_idle = false;
  };

  std::unique_ptr<Line> NewLine() { return std::make_unique<Line>(loop_, *completions_, options_); }
  void LookAgain() {
    look_ = loop_.After(options_.renew_after, [this] {
      if (connected()) {
        was_away_ = false;
      } else if (std::exchange(was_away_, true)) {
        next_ = NewLine();
        loop_.Spawn("rpc.renew", MoveWhenReady(next_->shared_plain(), this));
      }
      LookAgain();
    });
  }
  // The new certificate has to prove itself first: a server may not know its authority yet.
  void OnNewCredentials() {
    next_ = NewLine();
    if (line_->state() != GRPC_CHANNEL_READY) return Move();
    loop_.Spawn("rpc.renew", MoveWhenReady(next_->shared_plain(), this));
  }
  // `self` is there as long as `plain` is not closed.
  static net::Task<void> MoveWhenReady(std::shared_ptr<PlainCalls> plain, ClientImpl* self) {
    while (!plain->closed() && !plain->ready()) {
      co_await PlainCalls::WaitUntilReady(plain, ConnectedBy({}, TimePoint::max()));
    }
    if (!plain->closed() && self->next_ && self->next_->shared_plain() == plain) self->Move();
  }
  void Move() {
    retired_.push_back({std::exchange(line_, std::move(next_))});
    if (!tidy_) tidy_ = loop_.After(kTidyEvery, [this] { Tidy(); });
  }
  void Tidy() {
    std::erase_if(retired_, [](Retired& retired) {
      const bool was_idle = std::exchange(retired.was_idle, retired.line->idle());
      return was_idle && retired.was_idle;
    });
    tidy_.reset();
    if (!retired_.empty()) tidy_ = loop_.After(kTidyEvery, [this] { Tidy(); });
  }

  net::Loop& loop_;
  const Options options_;
  std::shared_ptr<Completions> completions_;
  std::unique_ptr<Line> line_;
  // Connects with the newest certificate, or to where the name leads now; null when line_ does.
  std::unique_ptr<Line> next_;
  std::vector<Retired> retired_;
  std::unique_ptr<net::Loop::Timer> tidy_;
  std::unique_ptr<net::Loop::Timer> look_;
  bool was_away_ = false;  // when we looked last
  std::shared_ptr<void> change_;
};

}  // namespace

std::unique_ptr<Client> Client::Create(net::Loop& loop, Options options) {
  return std::make_unique<ClientImpl>(loop, std::move(options));
}

}  // namespace posthorn::rpc
