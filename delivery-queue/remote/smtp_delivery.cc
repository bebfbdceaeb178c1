#include "delivery-queue/remote/smtp_delivery.h"

#include <unordered_map>

#include "delivery-queue/remote/next_hop.h"
#include "delivery-queue/remote/outcome.h"
#include "delivery-queue/remote/session_opener.h"
#include "delivery-queue/remote/shared_bodies.h"
#include "delivery-queue/remote/timeouts.h"
#include "delivery-queue/remote/transaction.h"
#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/observe/log.h"

namespace posthorn::delivery_queue {
namespace {

using Clock = std::chrono::steady_clock;
using HopPtr = std::shared_ptr<NextHop>;

constexpr std::chrono::milliseconds kPermitPause{500};
constexpr size_t kHopsRemembered = 1000;  // idle ones beyond are forgotten when they may be

}  // namespace

// Shared with the workers, which may still stand in the loop when the owner has gone.
class SmtpDelivery::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(net::Loop& loop, dns::Resolver& resolver, Bodies& bodies, ClientTls tls)
      : loop_(loop),
        resolver_(resolver),
        bodies_(bodies),
        tls_(std::move(tls)),
        shared_bodies_(loop, bodies),
        ended_(loop) {}

  void Configure(RemoteSettings settings) {
    settings_ = std::move(settings);
    routes_.clear();
    for (const Route& route : settings_.routes)
      routes_.push_back(std::make_shared<const Route>(route));
    for (const auto& [key, hop] : hops_) {
      hop->Forgive();
      hop->most = static_cast<double>(settings_.max_connections);
    }
    MyPlaces().SetLimit(settings_.max_connections);
  }
  void Submit(const RemoteJob& job);
  net::Task<void> Finish(std::chrono::milliseconds limit);
  size_t connections() const { return workers_; }
  void Stop() {
    stopping_ = true;
    for (const auto& [key, hop] : hops_) hop->arrived().NotifyAll();
  }
  void SetPermit(std::function<bool()> may_end) { may_end_ = std::move(may_end); }

 private:
  using CorePtr = std::shared_ptr<Core>;
  // What one connection's coroutine holds.
  struct Worker {
    CorePtr core;
    HopPtr hop;
    std::unique_ptr<Session> session;
    size_t letters = 0;
    // Given while it stood in line.
    std::optional<Place> granted = std::nullopt;
  };

  HopPtr HopOf(const std::string& domain);
  void ForgetIdleHops();
  void PumpSoon(const HopPtr& hop);
  void Pump(const HopPtr& hop);
  Places& MyPlaces();
  std::optional<Place> Enter(Worker& worker, const std::string& address);
  void Start(const HopPtr& hop, std::optional<Place> granted);
  void Ended(const HopPtr& hop);
  static net::Task<void> Work(Worker worker);
  static net::Task<void> Serve(Worker& worker);
  static net::Task<bool> WaitForLetter(Worker& worker);
  static net::Task<bool> Open(Worker& worker);
  static net::Task<void> SendOne(Worker& worker);
  static net::Task<void> CloseSession(Worker& worker);
  void Unreachable(const HopPtr& hop, const RemoteOutcome& outcome);

  net::Loop& loop_;
  dns::Resolver& resolver_;
  Bodies& bodies_;
  ClientTls tls_;
  RemoteSettings settings_;
  std::vector<std::shared_ptr<const Route>> routes_;  // as in settings_
  std::unordered_map<std::string, HopPtr> hops_;
  SharedBodies shared_bodies_;
  std::shared_ptr<Places> places_;  // made when first needed
  std::deque<HopPtr> line_;         // next hops that wait because there are too many connections
  size_t workers_ = 0;
  bool stopping_ = false;
  std::function<bool()> may_end_ = [] { return true; };
  net::Signal ended_;
};

HopPtr SmtpDelivery::Core::HopOf(const std::string& domain) {
  const Route* route = FindRoute(settings_.routes, domain);
  const std::string key =
      route == nullptr ? base::StrCat("mx ", domain) : base::StrCat("route ", route->domain);
  HopPtr& hop = hops_[key];
  if (!hop) hop = std::make_shared<NextHop>(loop_, key, domain);
  hop->most = static_cast<double>(settings_.max_connections);
  hop->route =
      route == nullptr ? nullptr : routes_[static_cast<size_t>(route - settings_.routes.data())];
  return hop;
}

void SmtpDelivery::Core::ForgetIdleHops() {
  if (hops_.size() <= kHopsRemembered) return;
  std::erase_if(hops_,
                [now = Clock::now()](const auto& each) { return each.second->Forgettable(now); });
}

void SmtpDelivery::Core::Submit(const RemoteJob& job) {
  if (stopping_) return;  // the journal has it
  ForgetIdleHops();
  const std::string domain = mail::NormalDomain(job.domain).value_or(job.domain);
  const HopPtr hop = HopOf(domain);
  if (const RemoteOutcome* failure = hop->LeftAlone(Clock::now());
      failure != nullptr && hop->connected == 0) {
    const RemoteOutcome outcome = *failure;
    for (const int index : job.recipients) job.done(index, outcome);
    return;
  }
  hop->Add(job);
  PumpSoon(hop);
}

// Later in this turn of the loop, so that the recipients of one message gather in one letter.
void SmtpDelivery::Core::PumpSoon(const HopPtr& hop) {
  if (std::exchange(hop->pump_posted, true)) return;
  loop_.Post([core = shared_from_this(), hop] {
    hop->pump_posted = false;
    core->Pump(hop);
  });
}

void SmtpDelivery::Core::Pump(const HopPtr& hop) {
  if (stopping_) return;
  if (hop->idle > 0) hop->arrived().NotifyAll();
  if (hop->in_line) return;
  for (size_t n = hop->Wanted(); n > 0; --n) {
    if (workers_ < kMaxConnections) {
      Start(hop, std::nullopt);
    } else {
      hop->in_line = true;
      line_.push_back(hop);
      return;
    }
  }
}

void SmtpDelivery::Core::Start(const HopPtr& hop, std::optional<Place> granted) {
  ++workers_;
  ++hop->workers;
  loop_.Spawn("remote.worker", Work({shared_from_this(), hop, nullptr, 0, std::move(granted)}));
}

Places& SmtpDelivery::Core::MyPlaces() {
  if (places_) return *places_;
  const auto call = [core = weak_from_this()](const HopPtr& hop, Place place) {
    const CorePtr self = core.lock();
    if (!self) return;
    self->loop_.Post([self, hop, place = std::move(place)]() mutable {
      if (!self->stopping_) self->Start(hop, std::move(place));
    });
  };
  places_ = std::make_shared<Places>(settings_.max_connections, call);
  return *places_;
}

std::optional<Place> SmtpDelivery::Core::Enter(Worker& worker, const std::string& address) {
  if (worker.granted && worker.granted->address == address)
    return std::exchange(worker.granted, std::nullopt);
  std::optional<Place> place = MyPlaces().Enter(address, worker.hop);
  if (place) return place;
  // Sessions that idle there make room.
  for (const auto& [key, hop] : hops_)
    if (hop->idle > 0) hop->arrived().NotifyAll();
  return place;
}

void SmtpDelivery::Core::Ended(const HopPtr& hop) {
  --workers_;
  --hop->workers;
  ended_.NotifyAll();
  if (!hop->empty()) PumpSoon(hop);
  if (line_.empty()) return;
  const HopPtr next = std::move(line_.front());
  line_.pop_front();
  next->in_line = false;
  PumpSoon(next);
}

net::Task<void> SmtpDelivery::Core::Work(Worker worker) {
  co_await Serve(worker);
  co_await CloseSession(worker);
  worker.core->Ended(worker.hop);
}

net::Task<void> SmtpDelivery::Core::Serve(Worker& worker) {
  NextHop& hop = *worker.hop;
  while (!worker.core->stopping_) {
    // Fewer connections than before: the others do the work.
    if (hop.workers > static_cast<size_t>(std::max(1.0, hop.limit()))) co_return;
    if (hop.empty() && !co_await WaitForLetter(worker)) co_return;
    if (worker.letters >= kMaxMessagesPerConnection) co_await CloseSession(worker);
    if (!worker.session && !co_await Open(worker)) co_return;
    // Better not begun than not ended.
    while (!worker.core->may_end_() && !worker.core->stopping_)
      co_await net::Sleep(worker.core->loop_, kPermitPause);
    if (!hop.empty() && !worker.core->stopping_) co_await SendOne(worker);
  }
}

net::Task<bool> SmtpDelivery::Core::WaitForLetter(Worker& worker) {
  if (!worker.session) co_return false;
  const Clock::time_point end = Clock::now() + worker.core->settings_.patience.idle;
  NextHop& hop = *worker.hop;
  ++hop.idle;
  const auto may_wait = [&] {
    return hop.empty() && !worker.core->stopping_ && Clock::now() < end &&
           !worker.core->MyPlaces().Crowded(worker.session->place.address);
  };
  while (may_wait()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    static_cast<void>(co_await hop.arrived().WaitFor(std::max(left, std::chrono::milliseconds(1))));
  }
  --hop.idle;
  co_return !hop.empty();
}

net::Task<bool> SmtpDelivery::Core::Open(Worker& worker) {
  Core& core = *worker.core;
  OpenRequest request{
      {core.loop_, core.resolver_, core.settings_.hostname, core.settings_.port},
      worker.hop->domain(),
      worker.hop->route,
      core.tls_,
      core.settings_.patience,
      [&worker](const std::string& address) { return worker.core->Enter(worker, address); }};
  Opened opened = co_await OpenSession(std::move(request));
  if (std::holds_alternative<Busy>(opened)) co_return false;
  if (auto* session = std::get_if<std::unique_ptr<Session>>(&opened)) {
    worker.session = std::move(*session);
    worker.letters = 0;
    ++worker.hop->connected;
    co_return true;
  }
  core.Unreachable(worker.hop, std::get<RemoteOutcome>(opened));
  co_return false;
}

// Letters stay for the other connections when there are any.
void SmtpDelivery::Core::Unreachable(const HopPtr& hop, const RemoteOutcome& outcome) {
  observe::Info("remote.unreachable", {{"hop", hop->key()}, {"reply", outcome.reply}});
  if (hop->connected > 0) return hop->OnLost();
  if (outcome.kind == RemoteOutcome::Kind::kDeferred) hop->OnUnreachable(outcome, Clock::now());
  for (const Letter& letter : hop->TakeAll()) letter.Answer(outcome);
}

net::Task<void> SmtpDelivery::Core::SendOne(Worker& worker) {
  NextHop& hop = *worker.hop;
  Letter letter = hop.Take();
  Bodies& bodies = letter.shares_body ? worker.core->shared_bodies_ : worker.core->bodies_;
  Sent sent = co_await SendLetter(*worker.session, bodies, std::move(letter),
                                  worker.core->may_end_);
  ++worker.letters;
  if (sent.any_good) hop.OnGoodMessage();
  // A session that died while it idled says nothing about the host either.
  const bool died_idle = sent.rest.again;
  if (!sent.rest.addressees.empty()) hop.PutBack(std::move(sent.rest));
  if (sent.after == After::kGoOn) co_return;
  if (!died_idle) hop.OnLost();
  worker.session->client.Abandon();
  co_await CloseSession(worker);
}

net::Task<void> SmtpDelivery::Core::CloseSession(Worker& worker) {
  if (!worker.session) co_return;
  --worker.hop->connected;
  const std::unique_ptr<Session> session = std::move(worker.session);
  if (!session->client.abandoned()) co_await session->client.Quit();
}

net::Task<void> SmtpDelivery::Core::Finish(std::chrono::milliseconds limit) {
  Stop();
  const Clock::time_point end = Clock::now() + limit;
  while (workers_ > 0 && Clock::now() < end) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    static_cast<void>(co_await ended_.WaitFor(std::max(left, std::chrono::milliseconds(1))));
  }
}

SmtpDelivery::SmtpDelivery(net::Loop& loop, dns::Resolver& resolver, Bodies& bodies, ClientTls tls)
    : core_(std::make_shared<Core>(loop, resolver, bodies, std::move(tls))) {}

SmtpDelivery::~SmtpDelivery() { core_->Stop(); }

void SmtpDelivery::SetPermit(std::function<bool()> may_end) {
  core_->SetPermit(std::move(may_end));
}

void SmtpDelivery::Stop() { core_->Stop(); }

void SmtpDelivery::Configure(RemoteSettings settings) { core_->Configure(std::move(settings)); }

void SmtpDelivery::Submit(RemoteJob job) { core_->Submit(job); }

net::Task<void> SmtpDelivery::Finish(std::chrono::milliseconds limit) {
  return core_->Finish(limit);
}

size_t SmtpDelivery::connections() const { return core_->connections(); }

}  // namespace posthorn::delivery_queue
