// What goes out next on an Attach call.

#include <algorithm>
#include <utility>

#include "store-service/sync/sync_metrics.h"
#include "store-service/sync/sync_session.h"
#include "store-service/sync/view_chunks.h"

namespace posthorn::store_service {
namespace {

// A change names the whole list: what the view was told, with this change.
void FillSubscriptions(View& view, const View::News& news) {
  if (news.subscriptions.empty()) return;
  for (const SubscriptionRow& change : news.subscriptions) {
    if (change.state == SubscriptionRow::State::kSubscribed) {
      view.subscriptions.insert(change.name);
    } else {
      view.subscriptions.erase(change.name);
    }
  }
  news.state->set_subscriptions_changed(true);
  for (const std::string& name : view.subscriptions) news.state->add_subscriptions(name);
}

}  // namespace

void SyncSession::List(const ViewPtr& view) {
  if (view->has_news() && view->credit > 0 && !view->listed) {
    view->listed = true;
    with_news_.push_back(view);
  }
  wake_.NotifyAll();
}

void SyncSession::Push(const ViewPtr& view, View::News news) {
  if (view->phase != View::Phase::kReading && news.modseq() <= view->snapshot_modseq) return;
  view->queued_rows += news.rows();
  view->news.push_back(std::move(news));
  ++view->pushed;
  if (view->news.size() > View::kMaxQueued || view->queued_rows > View::kMaxQueuedRows) {
    Close(view, v1::ViewClosed::AGAIN);
    return;
  }
  List(view);
}

net::Task<void> SyncSession::WriteReplies(std::shared_ptr<SyncSession> self,
                                          rpc::ServerCall* call) {
  while (!ended_) {
    std::optional<v1::SyncReply> reply = NextReply();
    if (!reply) {
      co_await wake_.Wait();
      continue;
    }
    const absl::Status status = co_await call->Write(*reply);
    if (!status.ok()) break;
  }
  writer_ended_.Set(true);
}

std::optional<v1::SyncReply> SyncSession::NextReply() {
  if (!control_.empty()) {
    v1::SyncReply reply = std::move(control_.front());
    control_.pop_front();
    return reply;
  }
  if (auto reply = NextNews()) return reply;
  if (auto reply = NextBarrier()) return reply;
  return NextChunk();
}

std::optional<v1::SyncReply> SyncSession::NextNews() {
  while (!with_news_.empty()) {
    const ViewPtr view = with_news_.front();
    with_news_.pop_front();
    view->listed = false;
    if (!view->has_news() || view->credit == 0) continue;
    const View::News news = std::move(view->news.front());
    view->news.pop_front();
    view->queued_rows -= news.rows();
    ++view->sent;
    --view->credit;
    List(view);
    v1::SyncReply reply;
    SyncMetrics::Get().changes->Add();
    if (news.delta) {
      *reply.mutable_delta() = ToDelta(view->id, *news.delta);
      reply.mutable_delta()->set_committed_ms(news.committed_ms);
    } else {
      FillSubscriptions(*view, news);
      *reply.mutable_account() = std::move(*news.state);
    }
    return reply;
  }
  return std::nullopt;
}

std::optional<v1::SyncReply> SyncSession::NextBarrier() {
  const auto told = [](const std::pair<ViewPtr, uint64_t>& wait) {
    const View& view = *wait.first;
    return view.phase == View::Phase::kClosed || (view.live() && view.sent >= wait.second);
  };
  for (auto it = barriers_.begin(); it != barriers_.end(); ++it) {
    if (!std::all_of(it->views.begin(), it->views.end(), told)) continue;
    v1::SyncReply reply;
    reply.mutable_barrier()->set_barrier(it->id);
    reply.mutable_barrier()->set_modseq(it->modseq);
    barriers_.erase(it);
    return reply;
  }
  return std::nullopt;
}

std::optional<v1::SyncReply> SyncSession::NextChunk() {
  for (size_t left = with_chunks_.size(); left > 0; --left) {
    const ViewPtr view = with_chunks_.front();
    with_chunks_.pop_front();
    if (view->phase != View::Phase::kSending) continue;
    if (view->credit == 0) {
      with_chunks_.push_back(view);
      continue;
    }
    v1::SyncReply reply = std::move(view->snapshot.front());
    view->snapshot.pop_front();
    --view->credit;
    if (view->snapshot.empty()) {
      view->phase = View::Phase::kLive;
      List(view);
    } else {
      with_chunks_.push_back(view);
    }
    return reply;
  }
  return std::nullopt;
}

}  // namespace posthorn::store_service
