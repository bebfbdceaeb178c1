#include "imap-gateway/view/sync_client.h"

#include <algorithm>
#include <vector>

#include "imap-gateway/backend/store.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
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

observe::Counter* Lost() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_imap_sync_lost_total", "Sync streams that ended and were opened again");
  return kCounter;
}

}  // namespace

struct SyncClient::Stream {
  explicit Stream(net::Loop& loop) : wake(loop) {}
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
  loop.Spawn("imap.sync", client->Run());
  loop.Spawn("imap.sync.sweep", client->Sweep());
  return client;
}

void SyncClient::Stop() {
  stopped_ = true;
  stopping_.NotifyAll();
  if (stream_) {
    stream_->over = true;
    stream_->wake.NotifyAll();
  }
}

net::Task<void> SyncClient::Run() {
  const auto self = shared_from_this();
  milliseconds pause = options_.first_retry;
  while (!stopped_) {
    auto stream = std::make_shared<Stream>(loop_);
    stream->call = store_.Attach();
    OnConnected(stream);
    loop_.Spawn("imap.sync.write", Write(self, stream));
    if (co_await Read(stream)) pause = options_.first_retry;
    stream->over = true;
    stream->wake.NotifyAll();
    stream.reset();
    OnLost();
    if (stopped_) break;
    co_await stopping_.WaitFor(pause);
    pause = std::min(pause * 2, options_.last_retry);
  }
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

void SyncClient::OnConnected(std::shared_ptr<Stream> stream) {
  stream_ = std::move(stream);
  for (auto& [key, kept] : mailboxes_)
    if (!kept.view->gone()) OpenNow(kept.view, false);
  for (auto& [key, kept] : accounts_)
    if (!kept.view->denied()) OpenNow(kept.view, true);
  for (const auto& [id, asked] : barriers_) {
    v1::SyncRequest request;
    request.mutable_barrier()->set_barrier(id);
    request.mutable_barrier()->set_ticket(asked.ticket);
    Send(std::move(request));
  }
}

void SyncClient::OnLost() {
  stream_.reset();
  open_.clear();
  if (stopped_) return;
  Lost()->Add();
  observe::Debug("imap.sync.lost");
}

void SyncClient::Dispatch(const v1::SyncReply& reply) {
  if (reply.has_barrier()) return OnBarrier(reply);
  const uint64_t view = ViewOf(reply);
  const auto found = open_.find(view);
  if (found == open_.end()) return;
  const std::shared_ptr<SyncSubscriber> subscriber = found->second.subscriber.lock();
  if (!subscriber) {
    open_.erase(found);
    return;
  }
  GrantCredit(view, found->second);
  const bool account = found->second.account;
  switch (subscriber->OnReply(reply)) {
    case SyncSubscriber::Taken::kGoOn:
      return;
    case SyncSubscriber::Taken::kOver:
      open_.erase(view);
      return;
    case SyncSubscriber::Taken::kOpenAgain:
      open_.erase(view);
      loop_.Spawn("imap.sync.again", OpenAgain(shared_from_this(), stream_, subscriber, account));
      return;
  }
}

net::Task<void> SyncClient::OpenAgain(std::shared_ptr<SyncClient> self,
                                      std::shared_ptr<Stream> stream,
                                      std::shared_ptr<SyncSubscriber> subscriber, bool account) {
  co_await net::Sleep(self->loop_, kAgain);
  // A new stream has opened everything that is kept.
  if (self->stream_ == stream && subscriber.use_count() > 1) self->OpenNow(subscriber, account);
}

void SyncClient::GrantCredit(uint64_t view, OpenedView& open) {
  if (--open.credit > kFirstCredit / 2) return;
  v1::SyncRequest request;
  request.mutable_credit()->set_view(view);
  request.mutable_credit()->set_replies(kCredit);
  open.credit += kCredit;
  Send(std::move(request));
}

void SyncClient::OnBarrier(const v1::SyncReply& reply) {
  const auto found = barriers_.find(reply.barrier().barrier());
  if (found == barriers_.end()) return;
  net::Promise<absl::Status> done = found->second.done;
  barriers_.erase(found);
  done.Set(reply.barrier().denied() ? base::Denied("barrier denied") : absl::OkStatus());
}

net::Task<absl::Status> SyncClient::Barrier(std::string ticket, milliseconds limit) {
  const auto self = shared_from_this();
  const uint64_t id = ++last_id_;
  net::Promise<absl::Status> done(loop_);
  barriers_.emplace(id, Asked{ticket, done});
  v1::SyncRequest request;
  request.mutable_barrier()->set_barrier(id);
  request.mutable_barrier()->set_ticket(ticket);
  ++requests_;
  Send(std::move(request));
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
    OpenNow(kept.view, false);
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
    OpenNow(kept.view, true);
  }
  kept.view->set_ticket(ticket);
  return kept.view;
}

void SyncClient::OpenNow(const std::shared_ptr<SyncSubscriber>& subscriber, bool account) {
  if (!stream_) return;  // OnConnected will
  const uint64_t view = ++last_id_;
  open_[view] = OpenedView{subscriber, kFirstCredit, account};
  v1::SyncRequest request;
  subscriber->FillOpen(request, view);
  Send(std::move(request));
}

void SyncClient::CloseNow(const SyncSubscriber* subscriber) {
  for (auto it = open_.begin(); it != open_.end(); ++it) {
    if (it->second.subscriber.lock().get() != subscriber) continue;
    v1::SyncRequest request;
    if (it->second.account) {
      request.mutable_close_account()->set_view(it->first);
    } else {
      request.mutable_close()->set_view(it->first);
    }
    open_.erase(it);
    Send(std::move(request));
    return;
  }
}

void SyncClient::Send(v1::SyncRequest request) {
  if (!stream_) return;
  stream_->out.push_back(std::move(request));
  stream_->wake.NotifyAll();
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
  }
}

}  // namespace posthorn::imap_gateway
