#include <array>
#include <map>
#include <unordered_map>
#include <utility>

#include "lib/base/strings.h"
#include "lib/login/cache.h"
#include "lib/login/login.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::login {
namespace {

namespace v1 = ::posthorn::store::v1;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kHeartbeatLimit{5000};
constexpr milliseconds kAuthenticateTimeout{20000};
constexpr milliseconds kFirstRetry{100};
constexpr milliseconds kLastRetry{3000};

Outcome FromReply(v1::AuthenticateReply::Outcome outcome) {
  switch (outcome) {
    case v1::AuthenticateReply::SUCCESS:
      return Outcome::kSuccess;
    case v1::AuthenticateReply::FAILURE:
      return Outcome::kFailure;
    case v1::AuthenticateReply::REFUSED:
      return Outcome::kRefused;
    case v1::AuthenticateReply::BAD:
      return Outcome::kBad;
    default:
      return Outcome::kTemporary;
  }
}

// What outlives the Gate's handle while its coroutines still run.
class State : public std::enable_shared_from_this<State> {
 public:
  State(net::Loop& loop, rpc::Client& store, Gate::Options options)
      : loop_(loop), store_(store), options_(std::move(options)), cache_(options_.max_cached) {
    const auto count = [&](std::string_view result) {
      return observe::NewCounter("posthorn_login_attempts_total", "Password logins by result",
                                 {{"protocol", options_.protocol}, {"result", result}});
    };
    cached_ = count("cached");
    // In the order of Outcome.
    outcomes_ = {count("success"), count("failure"), count("refused"), count("malformed"),
                 count("temporary")};
  }

  net::Task<Verdict> Check(Attempt attempt) {
    auto self = shared_from_this();
    const Cache::Key key = cache_.KeyOf(attempt.name, attempt.password);
    if (watching()) {
      if (auto identity = cache_.Find(key, Clock::now())) {
        cached_->Add();
        co_return Verdict{Outcome::kSuccess, std::move(identity)};
      }
    }
    const uint64_t epoch = epoch_;
    Verdict verdict = co_await Ask(std::move(attempt));
    Count(verdict.outcome);
    if (verdict.outcome == Outcome::kSuccess && watching() && epoch == epoch_ &&
        options_.cache_time.count() > 0) {
      cache_.Insert(key, verdict.identity, Clock::now() + options_.cache_time);
    }
    if (verdict.outcome == Outcome::kFailure && options_.tarpit.count() > 0) {
      co_await net::Sleep(loop_, options_.tarpit);
    }
    co_return verdict;
  }

  net::Task<void> Watch() {
    auto self = shared_from_this();
    milliseconds pause = kFirstRetry;
    while (!stopped_) {
      rpc::CallOptions options;
      options.timeout = std::chrono::hours(24 * 365);
      std::unique_ptr<rpc::RawCall> call = store_.Start(rpc::store::kDirectoryWatch.path, "login",
                                                        rpc::Flow::kFree, std::move(options));
      if ((co_await call->Write(v1::WatchDirectoryRequest())).ok()) {
        call->WritesDone();
        if (co_await ReadChanges(*call)) pause = kFirstRetry;
      }
      call.reset();
      alive_ = false;
      cache_.Clear();
      ++epoch_;
      if (stopped_) break;
      co_await net::Sleep(loop_, pause);
      pause = std::min(pause * 2, kLastRetry);
    }
  }

  void Stop() {
    stopped_ = true;
    ends_.clear();
  }

  bool watching() const { return alive_ && Clock::now() - last_heard_ < kHeartbeatLimit; }
  void SetTimes(milliseconds cache_time, milliseconds tarpit) {
    if (cache_time < options_.cache_time) cache_.Clear();
    options_.cache_time = cache_time;
    options_.tarpit = tarpit;
  }

  uint64_t AddEnd(uint64_t account, std::function<void()> end) {
    ends_[account].emplace(++last_guard_, std::move(end));
    return last_guard_;
  }
  void DropEnd(uint64_t account, uint64_t guard) {
    const auto found = ends_.find(account);
    if (found == ends_.end()) return;
    found->second.erase(guard);
    if (found->second.empty()) ends_.erase(found);
  }

 private:
  net::Task<Verdict> Ask(Attempt attempt) {
    v1::AuthenticateRequest request;
    request.set_mechanism("PLAIN");
    request.set_protocol(options_.protocol);
    request.set_peer(attempt.peer);
    request.set_tls(attempt.tls);
    request.set_channel_binding(attempt.channel_binding);
    request.set_response(base::StrCat('\0', attempt.name, '\0', attempt.password));
    request.set_has_response(true);
    rpc::CallOptions options;
    options.timeout = kAuthenticateTimeout;
    options.connect_within = rpc::kRestart;
    auto call = store_.Start(rpc::store::kDirectoryAuthenticate.path, "login", rpc::Flow::kFree,
                             std::move(options));
    Verdict verdict;
    if (!(co_await call->Write(request)).ok()) co_return verdict;
    v1::AuthenticateReply reply;
    const absl::StatusOr<bool> got = co_await call->Read(reply);
    if (!got.ok() || !*got) co_return verdict;
    verdict.outcome = FromReply(reply.outcome());
    if (verdict.outcome == Outcome::kSuccess) verdict.identity = MakeIdentity(reply);
    co_return verdict;
  }

  static std::shared_ptr<const Identity> MakeIdentity(const v1::AuthenticateReply& reply) {
    auto identity = std::make_shared<Identity>();
    identity->ticket = reply.ticket();
    identity->account = reply.account();
    identity->address = reply.address();
    identity->may_send_as.assign(reply.may_send_as().begin(), reply.may_send_as().end());
    identity->version = reply.version();
    return identity;
  }

  // True when anything was heard.
  net::Task<bool> ReadChanges(rpc::RawCall& call) {
    bool heard = false;
    v1::DirectoryChange change;
    while (!stopped_) {
      const absl::StatusOr<bool> got = co_await call.Read(change);
      if (!got.ok() || !*got) break;
      heard = alive_ = true;
      last_heard_ = Clock::now();
      Apply(change);
    }
    co_return heard;
  }

  void Apply(const v1::DirectoryChange& change) {
    if (change.account() == 0 && change.domain() == 0 && change.address().empty() && !change.all())
      return;
    ++epoch_;
    if (change.all()) cache_.Clear();
    if (change.account() != 0) cache_.DropAccount(change.account());
    // Without its name nothing tells whose logins are meant.
    if (change.domain() != 0 && change.domain_name().empty()) cache_.Clear();
    if (change.domain() != 0) cache_.DropDomain(change.domain_name());
    if (change.account() != 0 && change.end_sessions()) EndSessions(change.account());
  }

  void EndSessions(uint64_t account) {
    const auto found = ends_.find(account);
    if (found == ends_.end()) return;
    auto ends = std::move(found->second);
    ends_.erase(found);
    for (auto& [guard, end] : ends) end();
  }

  void Count(Outcome outcome) {
    outcomes_[static_cast<size_t>(outcome)]->Add();
  }

  net::Loop& loop_;
  rpc::Client& store_;
  Gate::Options options_;
  Cache cache_;
  bool stopped_ = false;
  bool alive_ = false;
  Clock::time_point last_heard_{};
  uint64_t epoch_ = 0;  // moves with every invalidation
  uint64_t last_guard_ = 0;
  std::unordered_map<uint64_t, std::map<uint64_t, std::function<void()>>> ends_;
  observe::Counter* cached_;
  std::array<observe::Counter*, 5> outcomes_;
};

class GuardImpl : public Gate::Guard {
 public:
  GuardImpl(std::weak_ptr<State> state, uint64_t account, uint64_t guard)
      : state_(std::move(state)), account_(account), guard_(guard) {}
  ~GuardImpl() override {
    if (auto state = state_.lock()) state->DropEnd(account_, guard_);
  }

 private:
  std::weak_ptr<State> state_;
  uint64_t account_;
  uint64_t guard_;
};

class GateImpl : public Gate {
 public:
  GateImpl(net::Loop& loop, rpc::Client& store, Options options)
      : state_(std::make_shared<State>(loop, store, std::move(options))) {
    loop.Spawn("login.watch", state_->Watch());
  }
  ~GateImpl() override { state_->Stop(); }
  net::Task<Verdict> Check(Attempt attempt) override { return state_->Check(std::move(attempt)); }
  void SetTimes(milliseconds cache_time, milliseconds tarpit) override {
    state_->SetTimes(cache_time, tarpit);
  }
  std::unique_ptr<Guard> OnEnd(uint64_t account, std::function<void()> end) override {
    return std::make_unique<GuardImpl>(state_, account, state_->AddEnd(account, std::move(end)));
  }
  bool watching() const override { return state_->watching(); }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Gate> Gate::Create(net::Loop& loop, rpc::Client& store, Options options) {
  return std::make_unique<GateImpl>(loop, store, std::move(options));
}

}  // namespace posthorn::login
