#include "lib/cluster/queues.h"

#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "lib/base/strings.h"
#include "lib/cluster/handle.h"
#include "lib/cluster/patience.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"

namespace posthorn::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kDns = "dns:///";
constexpr milliseconds kLookUpAgain{5000};
constexpr milliseconds kRest{2000};
constexpr size_t kWaitingLookUps = 16;

bool NotTaken(const absl::Status& status) {
  if (rpc::WasNotSent(status)) return true;
  return absl::IsUnavailable(status) && base::Message(status) == kNotTaken;
}

std::vector<std::string> LookUp(const std::string& target) {
  const std::string name = target.substr(kDns.size());
  const size_t colon = name.rfind(':');
  if (colon == std::string::npos) return {};
  const std::string port = name.substr(colon + 1);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(name.substr(0, colon).c_str(), port.c_str(), &hints, &found) != 0) return {};
  std::set<std::string> targets;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof(host), nullptr, 0,
                    NI_NUMERICHOST) != 0)
      continue;
    const bool six = each->ai_family == AF_INET6;
    targets.insert(six ? base::StrCat("[", host, "]:", port) : base::StrCat(host, ":", port));
  }
  freeaddrinfo(found);
  return {targets.begin(), targets.end()};
}

class QueuesImpl : public Queues, public std::enable_shared_from_this<QueuesImpl> {
 public:
  QueuesImpl(net::Loop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        turn_(static_cast<size_t>(getpid())),
        patience_(options_.patience) {
    if (options_.targets.empty()) options_.targets.emplace_back();
    if (!options_.look_up) options_.look_up = LookUp;
    for (const std::string& target : options_.targets) meanings_.push_back({target});
    Take(options_.targets);
  }

  // Names are looked up on a thread of their own.
  void Follow() {
    const auto is_name = [](const std::string& target) { return target.starts_with(kDns); };
    if (std::none_of(options_.targets.begin(), options_.targets.end(), is_name)) return;
    thread_ = std::make_unique<net::BlockingPool>(loop_, "queue-names", 1, kWaitingLookUps);
    loop_.Spawn("cluster.queues", FollowAlways(weak_from_this()));
  }

  // Ends the calls that are left: who waits for one keeps its line, and no connection may outlive
  // the loop.
  void Close() {
    for (const std::weak_ptr<Line>& line : lines_) {
      if (const std::shared_ptr<Line> left = line.lock()) left->client.reset();
    }
  }

  std::vector<Replica> All() override {
    std::vector<Replica> all;
    for (const Known& known : known_) {
      all.push_back({known.target, std::shared_ptr<rpc::Client>(known.line, &known.client())});
    }
    return all;
  }
  bool connected() const override {
    return std::any_of(known_.begin(), known_.end(),
                       [](const Known& known) { return known.client().connected(); });
  }
  std::unique_ptr<rpc::RawCall> Start(std::string_view path, std::string_view stream,
                                      rpc::Flow flow, rpc::CallOptions options) override {
    return Choose({})->client().Start(path, stream, flow, std::move(options));
  }
  net::Task<absl::Status> CallRaw(std::string_view path, std::string_view stream, rpc::Flow flow,
                                  rpc::CallOptions options,
                                  const google::protobuf::MessageLite& request,
                                  google::protobuf::MessageLite& reply) override {
    const std::weak_ptr<QueuesImpl> weak = weak_from_this();
    net::Loop& loop = loop_;
    const Clock::time_point deadline = Clock::now() + options.timeout;
    std::set<std::string> asked;
    Known chosen = *Choose(asked);
    for (;;) {
      asked.insert(chosen.target);
      const absl::Status status =
          co_await chosen.client().CallRaw(path, stream, flow, options, request, reply);
      std::shared_ptr<QueuesImpl> self = weak.lock();
      if (!self) co_return status;
      if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status))
        self->LetRest(chosen.target);
      if (!NotTaken(status)) {
        self->patience_.Taken();
        co_return status;
      }
      const Known* another = self->Choose(asked);
      if (another == nullptr) {
        if (self->patience_.Over(deadline)) co_return status;
        self.reset();  // only its user keeps it
        co_await net::Sleep(loop, Patience::kPause);
        self = weak.lock();
        if (!self) co_return status;
        asked.clear();
        another = self->Choose(asked);
      }
      options.timeout = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      chosen = *another;
    }
  }

 private:
  // Lives as long as calls on it do, though its target may be forgotten meanwhile.
  struct Line {
    std::unique_ptr<rpc::Client> client;
  };
  struct Known {
    std::string target;
    std::shared_ptr<Line> line;
    Clock::time_point rests_until{};
    rpc::Client& client() const { return *line->client; }
  };

  // One that is connected and does not rest; else one that is connected; else any, for a call waits
  // for its connection: the others may be about to come back. Null: all were asked.
  const Known* Choose(const std::set<std::string>& asked) {
    ++turn_;
    const Known* connected = nullptr;
    const Known* any = nullptr;
    for (size_t i = 0; i < known_.size(); ++i) {
      const Known& known = known_[(turn_ + i) % known_.size()];
      if (asked.contains(known.target)) continue;
      if (any == nullptr) any = &known;
      if (!known.client().connected()) continue;
      if (Clock::now() >= known.rests_until) return &known;
      if (connected == nullptr) connected = &known;
    }
    return connected != nullptr ? connected : any;
  }

  void LetRest(const std::string& target) {
    for (Known& known : known_)
      if (known.target == target) known.rests_until = Clock::now() + kRest;
  }

  // Of each configured target what it stands for; a name that could not be looked up for what it
  // did before.
  using Meanings = std::vector<std::vector<std::string>>;
  void Learn(const Meanings& found) {
    std::vector<std::string> all;
    for (size_t i = 0; i < meanings_.size(); ++i) {
      if (!found[i].empty()) meanings_[i] = found[i];
      for (const std::string& target : meanings_[i])
        if (std::find(all.begin(), all.end(), target) == all.end()) all.push_back(target);
    }
    Take(all);
  }

  // Clients of targets that are there still go on; calls keep those of others until they end.
  void Take(const std::vector<std::string>& targets) {
    std::vector<Known> now;
    for (const std::string& target : targets) {
      const auto before = std::find_if(known_.begin(), known_.end(),
                                       [&](const Known& known) { return known.target == target; });
      if (before != known_.end()) {
        now.push_back(*before);
      } else {
        now.push_back({target, std::make_shared<Line>(options_.connect(target))});
        std::erase_if(lines_, [](const std::weak_ptr<Line>& line) { return line.expired(); });
        lines_.push_back(now.back().line);
      }
    }
    known_ = std::move(now);
  }

  static net::Task<void> FollowAlways(std::weak_ptr<QueuesImpl> weak) {
    for (;;) {
      std::shared_ptr<QueuesImpl> self = weak.lock();
      if (!self) co_return;
      net::Loop& loop = self->loop_;
      net::Task<absl::StatusOr<Meanings>> work =
          self->thread_->Run([look_up = self->options_.look_up, targets = self->options_.targets] {
            Meanings found;
            for (const std::string& target : targets)
              found.push_back(target.starts_with(kDns) ? look_up(target) : Meanings::value_type());
            return found;
          });
      self.reset();
      const absl::StatusOr<Meanings> found = co_await std::move(work);
      self = weak.lock();
      if (!self) co_return;
      if (found.ok()) self->Learn(*found);
      self.reset();
      co_await net::Sleep(loop, kLookUpAgain);
    }
  }

  net::Loop& loop_;
  Options options_;
  Meanings meanings_;
  std::vector<Known> known_;
  std::vector<std::weak_ptr<Line>> lines_;
  size_t turn_;
  Patience patience_;
  std::unique_ptr<net::BlockingPool> thread_;
};

class QueuesHandle final : public Handle<Queues, QueuesImpl> {
 public:
  using Handle::Handle;
  ~QueuesHandle() override { impl_->Close(); }
  std::vector<Replica> All() override { return impl_->All(); }
};

}  // namespace

std::unique_ptr<Queues> Queues::Create(net::Loop& loop, Options options) {
  auto impl = std::make_shared<QueuesImpl>(loop, std::move(options));
  impl->Follow();
  return std::make_unique<QueuesHandle>(std::move(impl));
}

}  // namespace posthorn::cluster
