#include "imap-gateway/view/sync_client.h"

#include <algorithm>
#include <deque>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/view/view_metrics.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/client.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::imap_gateway {
namespace {

namespace v1 = ::posthorn::store::v1;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// What the store lets every view send before it was granted anything, and what it is granted when
// little of that is left: a quiet view never costs a grant.
constexpr uint32_t kFirstCredit = 16;
constexpr uint32_t kCredit = 128;
// Before a view that the store closed is opened again: its lane may be between two owners.
constexpr milliseconds kAgain{20};
constexpr milliseconds kSweepEvery{5000};
constexpr milliseconds kLookAround{1000};
// What the maps of an account's view cost beside a mailbox's facts, about.
constexpr size_t kNodeBytes = 160;

uint64_t ViewOf(const v1::SyncReply& reply) {
  switch (reply.reply_case()) {
    case v1::SyncReply::kChunk:
      return reply.chunk().view();
    case v1::SyncReply::kDelta:
      return reply.delta().view();
    case v1::SyncReply::kClosed:
      return reply.closed().view();
    case v1::SyncReply::kAccount:
      return reply.account().view();
    case v1::SyncReply::kBarrier:
    case v1::SyncReply::REPLY_NOT_SET:
      break;
  }
  return 0;
}

}  // namespace

struct SyncClient::Stream {
  Stream(net::Loop& loop, cluster::Place p) : place(p), wake(loop) {}
  const cluster::Place place;
  std::unique_ptr<rpc::RawCall> call;
  std::deque<v1::SyncRequest> out;
  net::Signal wake;
  bool over = false;
};

SyncClient::SyncClient(net::Loop& loop, Store& store, Options options)
    : loop_(loop), store_(store), options_(options), stopping_(loop) {}
SyncClient::~SyncClient() = default;

std::shared_ptr<SyncClient> SyncClient::Create(net::Loop& loop, Store& store, Options options) {
  std::shared_ptr<SyncClient> client(new SyncClient(loop, store, options));
  loop.Spawn("imap.sync", client->Follow());
  loop.Spawn("imap.sync.sweep", client->Sweep());
  return client;
}

void SyncClient::Stop() {
  stopped_ = true;
  stopping_.NotifyAll();
  for (const auto& [place, stream] : streams_) {
    stream->over = true;
    stream->wake.NotifyAll();
  }
}

net::Task<void> SyncClient::Follow() {
  const auto self = shared_from_this();
  while (!stopped_) {
    Settle();
    (void)co_await store_.changed().WaitFor(kLookAround);
  }
}

void SyncClient::Settle() {
  // Somebody always listens: the first session shall not wait for a connection.
  NeedStream(store_.PlaceOf(0));
  for (auto& [key, kept] : mailboxes_)
    if (!kept.view->gone()) Bring(kept.view, key.first, Kind::kMailbox);
  for (auto& [account, kept] : accounts_)
    if (!kept.view->denied()) Bring(kept.view, account, Kind::kAccount);
  for (auto& [id, asked] : barriers_)
    if (store_.PlaceOf(asked.account) != asked.place) Ask(id, asked);
}

void SyncClient::NeedStream(cluster::Place place) {
  if (place == 0 || stopped_ || !running_.insert(place).second) return;
  loop_.Spawn("imap.sync.stream", Run(place));
}

bool SyncClient::Needed(cluster::Place place) const {
  const auto here = [&](uint64_t account) { return store_.PlaceOf(account) == place; };
  return here(0) || std::ranges::any_of(mailboxes_, [&](auto& v) { return here(v.first.first); }) ||
         std::ranges::any_of(accounts_, [&](auto& v) { return here(v.first); }) ||
         std::ranges::any_of(barriers_, [&](auto& v) { return here(v.second.account); });
}

net::Task<void> SyncClient::Run(cluster::Place place) {
  const auto self = shared_from_this();
  milliseconds pause = options_.first_retry;
  while (!stopped_ && Needed(place)) {
    auto stream = std::make_shared<Stream>(loop_, place);
    stream->call = store_.Attach(place);
    streams_[place] = stream;
    Settle();
    loop_.Spawn("imap.sync.write", Write(self, stream));
    if (co_await Read(stream)) pause = options_.first_retry;
    stream->over = true;
    stream->wake.NotifyAll();
    stream.reset();
    OnLost(place);
    if (stopped_) break;
    (void)co_await stopping_.WaitFor(pause);
    pause = std::min(pause * 2, options_.last_retry);
  }
  running_.erase(place);
}

// True when anything came.
net::Task<bool> SyncClient::Read(std::shared_ptr<Stream> stream) {
  bool heard = false;
  v1::SyncReply reply;
  while (!stream->over) {
    const absl::StatusOr<bool> got = co_await stream->call->Read(reply);
    if (!got.ok() || !*got) break;
    heard = true;
    Dispatch(reply);
  }
  co_return heard;
}

net::Task<void> SyncClient::Write(std::shared_ptr<SyncClient> self,
                                  std::shared_ptr<Stream> stream) {
  while (!stream->over) {
    if (stream->out.empty()) {
      co_await stream->wake.Wait();
      continue;
    }
    const v1::SyncRequest request = std::move(stream->out.front());
    stream->out.pop_front();
    // A failed write shows as the end of Read.
    if (!(co_await stream->call->Write(request)).ok()) break;
  }
  if (self->stopped_) stream->call->WritesDone();
}

void SyncClient::OnLost(cluster::Place place) {
  streams_.erase(place);
  std::erase_if(ids_, [&](const auto& known) { return open_.at(known.second).place == place; });
  std::erase_if(open_, [&](const auto& view) { return view.second.place == place; });
  for (auto& [id, asked] : barriers_)
    if (asked.place == place) asked.place = 0;
  if (stopped_) return;
  ViewMetrics::Get().lost_streams->Add();
  observe::Debug("imap.sync.lost");
}

void SyncClient::Dispatch(const v1::SyncReply& reply) {
  if (reply.has_barrier()) return OnBarrier(reply);
  const uint64_t view = ViewOf(reply);
  const auto found = open_.find(view);
  if (found == open_.end()) return;
  const std::shared_ptr<SyncSubscriber> subscriber = found->second.subscriber.lock();
  if (!subscriber) return Forget(view);
  GrantCredit(view, found->second);
  const uint64_t account = found->second.account;
  const Kind kind = found->second.kind;
  switch (subscriber->OnReply(reply)) {
    case SyncSubscriber::Taken::kGoOn:
      return;
    case SyncSubscriber::Taken::kOver:
      Forget(view);
      return;
    case SyncSubscriber::Taken::kOpenAgain:
      Forget(view);
      loop_.Spawn("imap.sync.again", OpenAgain(shared_from_this(), subscriber, account, kind));
      return;
  }
}

void SyncClient::Forget(uint64_t view) {
  open_.erase(view);
  std::erase_if(ids_, [view](const auto& known) { return known.second == view; });
}

net::Task<void> SyncClient::OpenAgain(std::shared_ptr<SyncClient> self,
                                      std::shared_ptr<SyncSubscriber> subscriber, uint64_t account,
                                      Kind kind) {
  co_await net::Sleep(self->loop_, kAgain);
  // Nobody else keeps it, or it was opened meanwhile.
  if (subscriber.use_count() > 1) self->Bring(subscriber, account, kind);
}

void SyncClient::GrantCredit(uint64_t view, OpenedView& open) {
  if (--open.credit > kFirstCredit / 2) return;
  v1::SyncRequest request;
  request.mutable_credit()->set_view(view);
  request.mutable_credit()->set_replies(kCredit);
  open.credit += kCredit;
  Send(open.place, std::move(request));
}

void SyncClient::OnBarrier(const v1::SyncReply& reply) {
  const auto found = barriers_.find(reply.barrier().barrier());
  if (found == barriers_.end()) return;
  if (reply.barrier().again()) {
    found->second.place = 0;
    loop_.Spawn("imap.sync.ask", AskAgain(shared_from_this(), found->first));
    return;
  }
  net::Promise<absl::Status> done = found->second.done;
  barriers_.erase(found);
  done.Set(reply.barrier().denied() ? base::Denied("barrier denied") : absl::OkStatus());
}

net::Task<void> SyncClient::AskAgain(std::shared_ptr<SyncClient> self, uint64_t barrier) {
  co_await net::Sleep(self->loop_, kAgain);
  const auto found = self->barriers_.find(barrier);
  if (found != self->barriers_.end() && found->second.place == 0) self->Ask(barrier, found->second);
}

void SyncClient::Ask(uint64_t barrier, Asked& asked) {
  const cluster::Place place = store_.PlaceOf(asked.account);
  NeedStream(place);
  if (!streams_.contains(place)) return;  // Settle will
  asked.place = place;
  v1::SyncRequest request;
  request.mutable_barrier()->set_barrier(barrier);
  request.mutable_barrier()->set_ticket(asked.ticket);
  Send(place, std::move(request));
}

net::Task<absl::Status> SyncClient::Barrier(std::string ticket, uint64_t account,
                                            milliseconds limit) {
  const auto self = shared_from_this();
  const uint64_t id = ++last_id_;
  net::Promise<absl::Status> done(loop_);
  const auto asked = barriers_.emplace(id, Asked{std::move(ticket), account, 0, done}).first;
  ++requests_;
  Ask(id, asked->second);
  const auto timer = loop_.After(limit, [self, id] {
    const auto found = self->barriers_.find(id);
    if (found == self->barriers_.end()) return;
    net::Promise<absl::Status> late = found->second.done;
    self->barriers_.erase(found);
    late.Set(base::Error(absl::StatusCode::kDeadlineExceeded, "store did not answer the barrier"));
  });
  co_return co_await done.Get();
}

std::shared_ptr<MailboxView> SyncClient::Mailbox(const std::string& ticket, uint64_t account,
                                                 uint64_t mailbox) {
  Kept<MailboxView>& kept = mailboxes_[{account, mailbox}];
  kept.used = Clock::now();
  if (!kept.view || kept.view->gone()) {
    kept.view = std::make_shared<MailboxView>(loop_, mailbox, ticket);
    ++requests_;
    Bring(kept.view, account, Kind::kMailbox);
  }
  kept.view->set_ticket(ticket);
  return kept.view;
}

std::shared_ptr<AccountView> SyncClient::Account(const std::string& ticket, uint64_t account) {
  Kept<AccountView>& kept = accounts_[account];
  kept.used = Clock::now();
  if (!kept.view || kept.view->denied()) {
    kept.view = std::make_shared<AccountView>(loop_, ticket);
    ++requests_;
    Bring(kept.view, account, Kind::kAccount);
  }
  kept.view->set_ticket(ticket);
  return kept.view;
}

void SyncClient::Bring(const std::shared_ptr<SyncSubscriber>& subscriber, uint64_t account,
                       Kind kind) {
  const cluster::Place place = store_.PlaceOf(account);
  if (place == 0) return;  // nobody owns it now: what is open stays until somebody does
  const auto known = ids_.find(subscriber.get());
  if (known != ids_.end()) {
    if (open_.at(known->second).place == place) return;
    CloseNow(subscriber.get());
  }
  NeedStream(place);
  if (streams_.contains(place)) OpenNow(subscriber, account, kind);
}

void SyncClient::OpenNow(const std::shared_ptr<SyncSubscriber>& subscriber, uint64_t account,
                         Kind kind) {
  const uint64_t view = ++last_id_;
  const cluster::Place place = store_.PlaceOf(account);
  open_[view] = OpenedView{subscriber, account, kind, place, kFirstCredit};
  ids_[subscriber.get()] = view;
  v1::SyncRequest request;
  subscriber->FillOpen(request, view);
  Send(place, std::move(request));
}

void SyncClient::CloseNow(const SyncSubscriber* subscriber) {
  const auto known = ids_.find(subscriber);
  if (known == ids_.end()) return;
  const uint64_t view = known->second;
  const OpenedView& open = open_.at(view);
  v1::SyncRequest request;
  if (open.kind == Kind::kAccount) {
    request.mutable_close_account()->set_view(view);
  } else {
    request.mutable_close()->set_view(view);
  }
  const cluster::Place place = open.place;
  open_.erase(view);
  ids_.erase(known);
  Send(place, std::move(request));
}

void SyncClient::Send(cluster::Place place, v1::SyncRequest request) {
  const auto found = streams_.find(place);
  if (found == streams_.end()) return;
  found->second->out.push_back(std::move(request));
  found->second->wake.NotifyAll();
}

template <class Map>
void SyncClient::DropUnused(Map& map, Clock::time_point now) {
  for (auto it = map.begin(); it != map.end();) {
    auto& kept = it->second;
    if (kept.view.use_count() > 1) kept.used = now;
    if (now - kept.used < options_.linger) {
      ++it;
      continue;
    }
    CloseNow(kept.view.get());
    it = map.erase(it);
  }
}

net::Task<void> SyncClient::Sweep() {
  const auto self = shared_from_this();
  while (!stopped_) {
    co_await stopping_.WaitFor(std::min(kSweepEvery, options_.linger + milliseconds(1)));
    DropUnused(mailboxes_, Clock::now());
    DropUnused(accounts_, Clock::now());
    Measure();
  }
}

void SyncClient::Measure() const {
  size_t bytes = 0;
  for (const auto& [key, kept] : mailboxes_) bytes += kept.view->messages().bytes();
  for (const auto& [account, kept] : accounts_)
    bytes += kept.view->mailboxes().size() * (sizeof(MailboxInfo) + kNodeBytes);
  ViewMetrics::Get().memory->Set(static_cast<double>(bytes));
  ViewMetrics::Get().views->Set(static_cast<double>(open_.size()));
}

}  // namespace posthorn::imap_gateway
