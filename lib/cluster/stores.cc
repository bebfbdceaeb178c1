#include "lib/cluster/stores.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/base/strings.h"
#include "lib/cluster/handle.h"
#include "lib/cluster/patience.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::cluster {
namespace {

namespace v1 = posthorn::store::v1;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A replica says its word every second: one that was silent for so long is left for another.
constexpr milliseconds kWatch{3000};
constexpr milliseconds kFirstPause{20};
constexpr milliseconds kLongestPause{1000};
// How long a refused call waits for news of the lane before it asks again.
constexpr milliseconds kAskAgain{100};

bool NotOwner(const absl::Status& status) {
  return absl::IsUnavailable(status) && base::Message(status) == base::kNotOwner;
}

// The account that a ticket is for, without a look at its signature: 0 when it names none. The
// store checks it.
base::AccountId AccountOf(const std::string& ticket) {
  v1::Ticket parsed;
  return parsed.ParseFromString(ticket) ? parsed.account() : 0;
}

class StoresImpl : public Stores, public std::enable_shared_from_this<StoresImpl> {
 public:
  StoresImpl(net::Loop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        map_(options_.caller),
        changed_(loop),
        turn_(static_cast<size_t>(getpid())),
        patience_(options_.patience) {
    if (options_.targets.empty()) options_.targets.emplace_back();
    seeds_.resize(options_.targets.size());
  }

  Place PlaceOf(base::AccountId account) const override {
    return map_.known() ? map_.OwnerOf(account) : Place{sole_ ? 1U : 0U};
  }
  rpc::Client& At(Place place) override {
    if (!map_.known()) return Seed(0);
    const std::string& target = map_.replicas()[place - 1].target;
    if (target.empty()) return Seed(seed_);
    if (clients_.size() < place) clients_.resize(place);
    if (!clients_[place - 1]) clients_[place - 1] = options_.connect(target);
    return *clients_[place - 1];
  }
  net::Signal& changed() override { return changed_; }
  bool connected() const override {
    for (const auto* all : {&seeds_, &clients_}) {
      for (const auto& client : *all) {
        if (client && client->connected()) return true;
      }
    }
    return false;
  }

  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view stream,
                                      rpc::Flow flow, rpc::CallOptions options) override {
    if (Many() && options.account == 0) options.account = AccountOf(options.ticket);
    const Place owner = options.account == 0 ? 0 : PlaceOf(options.account);
    rpc::Client& client = owner == 0 ? Any() : At(owner);
    return client.Start(path, stream, flow, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, rpc::Flow flow,
                                  rpc::CallOptions options,
                                  const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    if (Many() && options.account == 0) options.account = AccountOf(options.ticket);
    return CallUntilTaken(path, stream, flow, std::move(options), request, reply);
  }

  void Watch() { loop_.Spawn("cluster.watch", WatchAlways(weak_from_this())); }

 private:
  // A single store is simply called.
  bool Many() const { return !sole_ && map_.replicas().size() != 1; }
  rpc::Client& Seed(size_t index) {
    if (!seeds_[index]) seeds_[index] = options_.connect(options_.targets[index]);
    return *seeds_[index];
  }
  // The same one as long as it answers: calls that gather in batches gather in larger ones.
  rpc::Client& Any() {
    if (!map_.known()) return Seed(seed_);
    const std::vector<Place> able = map_.Able();
    if (able.empty()) return Seed(seed_);
    for (size_t i = 0; i < able.size(); ++i) {
      rpc::Client& client = At(able[(turn_ + i) % able.size()]);
      if (client.connected()) return client;
    }
    return At(able[turn_ % able.size()]);
  }

  // Whom a call is for; null: nobody known owns the account's lane.
  rpc::Client* For(base::AccountId account) {
    if (account == 0 || !Many()) return &Any();
    const Place place = PlaceOf(account);
    return place == 0 ? nullptr : &At(place);
  }

  net::Task<absl::Status> CallUntilTaken(std::string_view path, std::string_view stream,
                                         rpc::Flow flow, rpc::CallOptions options,
                                         const google::protobuf::MessageLite& request,
                                         google::protobuf::MessageLite& reply) {
    const std::weak_ptr<StoresImpl> alive = weak_from_this();
    const Clock::time_point deadline = Clock::now() + options.timeout;
    absl::Status status = base::Unavailable(base::kNotOwner);
    while (!alive.expired()) {
      options.timeout = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      if (options.timeout.count() <= 0) co_return status;
      milliseconds pause = kAskAgain;
      if (rpc::Client* const client = For(options.account)) {
        status = co_await client->CallRaw(path, stream, flow, options, request, reply);
        if (alive.expired()) co_return status;
        const bool sent = !rpc::WasNotSent(status);
        if (sent) patience_.Taken();
        if (sent ? !NotOwner(status) : patience_.Over(deadline)) co_return status;
        if (!sent) pause = Patience::kPause;
      }
      (void)co_await changed_.WaitFor(std::min(pause, options.timeout));
    }
    co_return status;
  }

  static net::Task<void> WatchAlways(std::weak_ptr<StoresImpl> weak) {
    milliseconds pause = kFirstPause;
    for (;;) {
      std::shared_ptr<StoresImpl> self = weak.lock();
      if (!self) co_return;
      net::Loop& loop = self->loop_;
      rpc::Client& client = self->Watched();
      self.reset();  // only its user keeps it
      if (co_await WatchOnce(weak, client)) {
        pause = kFirstPause;
        continue;
      }
      self = weak.lock();
      if (!self) co_return;
      ++self->watching_;
      if (!self->map_.known()) self->seed_ = self->watching_ % self->seeds_.size();
      self.reset();
      co_await net::Sleep(loop, pause);
      pause = std::min(pause * 2, kLongestPause);
    }
  }

  rpc::Client& Watched() {
    const std::vector<Place> able = map_.known() ? map_.Able() : std::vector<Place>();
    // Every now and then the configured targets: all replicas may have moved.
    const size_t all = able.size() + seeds_.size();
    const size_t next = (watching_ + (able.empty() ? 0 : turn_ % able.size())) % all;
    if (next < able.size()) return At(able[next]);
    return Seed(next - able.size());
  }

  // True when the replica said anything: it may be asked again at once.
  static net::Task<bool> WatchOnce(std::weak_ptr<StoresImpl> weak, rpc::Client& client) {
    rpc::CallOptions options;
    options.timeout = kWatch;
    const std::unique_ptr<rpc::RawCall> call =
        client.Start(rpc::store::kClusterWatch.path, "", rpc::Flow::kFree, std::move(options));
    v1::WatchClusterRequest request;
    bool heard = false;
    absl::Status status = co_await call->Write(request);
    call->WritesDone();
    while (status.ok()) {
      v1::ClusterMap map;
      const absl::StatusOr<bool> more = co_await call->Read(map);
      const std::shared_ptr<StoresImpl> self = weak.lock();
      if (!self) co_return false;
      status = more.status();
      if (!more.ok() || !*more) break;
      heard = true;
      self->Take(map);
    }
    const std::shared_ptr<StoresImpl> self = weak.lock();
    if (self && status.code() == absl::StatusCode::kUnimplemented && !self->map_.known()) {
      self->sole_ = true;
      self->changed_.NotifyAll();
    }
    co_return heard&& status.code() == absl::StatusCode::kDeadlineExceeded;
  }

  void Take(const v1::ClusterMap& map) {
    if (!map_.Take(map)) return;
    for (size_t i = 0; i < map_.replicas().size(); ++i) {
      const LaneMap::Replica& replica = map_.replicas()[i];
      observe::Debug("cluster.replica",
                     {{"name", replica.name}, {"alive", replica.alive ? "yes" : "no"}});
      if (replica.alive || i >= clients_.size() || !clients_[i]) continue;
      // Its calls end; from here, because the word may have come over that very client.
      gone_.push_back(std::move(clients_[i]));
      loop_.Post([weak = weak_from_this()] {
        if (const std::shared_ptr<StoresImpl> self = weak.lock()) self->gone_.clear();
      });
    }
    changed_.NotifyAll();
  }

  net::Loop& loop_;
  Options options_;
  LaneMap map_;
  net::Signal changed_;
  const size_t turn_;
  Patience patience_;
  bool sole_ = false;  // a store that knows no replicas
  size_t seed_ = 0;    // the target in use
  size_t watching_ = 0;
  std::vector<std::unique_ptr<rpc::Client>> seeds_;
  std::vector<std::unique_ptr<rpc::Client>> clients_;  // by place
  std::vector<std::unique_ptr<rpc::Client>> gone_;
};

class StoresHandle final : public Handle<Stores, StoresImpl> {
 public:
  using Handle::Handle;
  Place PlaceOf(base::AccountId account) const override { return impl_->PlaceOf(account); }
  rpc::Client& At(Place place) override { return impl_->At(place); }
  net::Signal& changed() override { return impl_->changed(); }
};

}  // namespace

std::unique_ptr<Stores> Stores::Create(net::Loop& loop, Options options) {
  auto impl = std::make_shared<StoresImpl>(loop, std::move(options));
  impl->Watch();
  return std::make_unique<StoresHandle>(std::move(impl));
}

}  // namespace posthorn::cluster
