#include "imap-gateway/view/mailbox_view.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "imap-gateway/protocol/number_set.h"
#include "imap-gateway/view/cursor.h"
#include "imap-gateway/view/view_metrics.h"
#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/span.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::imap_gateway {
namespace {

namespace v1 = ::posthorn::store::v1;
using Clock = std::chrono::steady_clock;

MessageRow RowAt(const v1::Rows& rows, int i) {
  const auto get = [i](const auto& column) {
    return i < column.size() ? column.Get(i)
                             : typename std::decay_t<decltype(column)>::value_type{};
  };
  MessageRow row;
  row.uid = get(rows.uid());
  row.modseq = get(rows.modseq());
  row.flags = static_cast<uint8_t>(get(rows.flags()));
  row.keywords = {get(rows.keywords_low()), get(rows.keywords_high())};
  const int64_t millis = get(rows.internal_date_ms());
  row.internal_date = {millis >= 0 ? millis / 1000 : (millis - 999) / 1000,
                       get(rows.zone_minutes())};
  row.size = static_cast<uint32_t>(std::min<uint64_t>(get(rows.size()), UINT32_MAX));
  row.save_date = static_cast<uint32_t>(std::max<int64_t>(get(rows.save_date_ms()), 0) / 1000);
  return row;
}

template <class Packed>
std::vector<NumberRange> Ranges(const Packed& packed) {
  std::vector<NumberRange> ranges;
  for (const v1::UidRangePacked& range : packed)
    if (range.first() > 0 && range.first() <= range.last())
      ranges.push_back({range.first(), range.last()});
  return ranges;
}

absl::Status StateError(MailboxView::State state) {
  using State = MailboxView::State;
  switch (state) {
    case State::kDenied:
      return base::Denied("view denied");
    case State::kNotFound:
      return base::NotFound("mailbox not found");
    case State::kDeleted:
    case State::kChanged:
      return base::Aborted("mailbox deleted or made anew");
    case State::kLoading:
    case State::kReady:
      break;
  }
  return absl::OkStatus();
}

// Clocks of several machines meet here: a difference below nothing is none.
void Measure(const v1::ViewDelta& delta) {
  const ViewMetrics& metrics = ViewMetrics::Get();
  const auto since = [now = base::WallMillis()](int64_t then) {
    return static_cast<double>(std::max<int64_t>(0, now - then)) / 1000;
  };
  metrics.changes->Add();
  if (delta.committed_ms() != 0) {
    const double lag = since(delta.committed_ms());
    metrics.lag_seconds->Observe(lag);
    RecentLag::Get().Note(static_cast<int64_t>(lag * 1000), base::MonotonicMicros() / 1000);
  }
  if (delta.accepted_ms() != 0) metrics.visible_seconds->Observe(since(delta.accepted_ms()));
}

// The last step of a message's way: from the commit to the view.
void Trace(const v1::ViewDelta& delta, uint64_t mailbox) {
  if (delta.traceparent().empty()) return;
  rpc::Span span(rpc::TraceContext::Parse(delta.traceparent()), "imap.visible",
                 rpc::Span::Kind::kConsumer);
  span.BeganAt(delta.committed_ms() * 1000);
  span.Set("imap.mailbox", std::to_string(mailbox));
}

}  // namespace

uint64_t OperationKey(std::string_view operation) {
  uint64_t key = 0;
  if (operation.size() < sizeof(key)) return 0;
  // Its end is random, its beginning a time.
  std::memcpy(&key, operation.data() + operation.size() - sizeof(key), sizeof(key));
  return key;
}

// A snapshot on its way in. Deltas overtake its chunks; they wait here.
struct MailboxView::Loading {
  uint64_t epoch = 0;
  uint64_t modseq = 0;
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  bool incremental = false;
  bool begun = false;
  MessageColumns rows;
  std::vector<MessageRow> changed;  // incremental only
  std::vector<std::string> keyword_names;
  std::vector<NumberRange> expunged;
  std::vector<v1::ViewDelta> deltas;
};

MailboxView::MailboxView(net::Loop& loop, uint64_t mailbox, std::string ticket)
    : mailbox_(mailbox), ticket_(std::move(ticket)), changed_(loop) {}
MailboxView::~MailboxView() = default;

void MailboxView::FillOpen(v1::SyncRequest& request, uint64_t view) {
  loading_ = std::make_unique<Loading>();
  v1::OpenView& open = *request.mutable_open();
  open.set_view(view);
  open.set_ticket(ticket_);
  open.set_mailbox(mailbox_);
  if (state_ == State::kReady) {
    open.set_known_uid_validity(uid_validity_);
    open.set_known_modseq(modseq_);
  }
}

SyncSubscriber::Taken MailboxView::OnReply(const v1::SyncReply& reply) {
  if (gone()) return Taken::kOver;
  if (reply.has_chunk()) {
    OnChunk(reply.chunk());
  } else if (reply.has_delta()) {
    if (loading_) {
      loading_->deltas.push_back(reply.delta());
    } else {
      ApplyDelta(reply.delta());
    }
  } else if (reply.has_closed()) {
    switch (reply.closed().reason()) {
      case v1::ViewClosed::DELETED:
        Close(State::kDeleted);
        break;
      case v1::ViewClosed::DENIED:
        Close(State::kDenied);
        break;
      case v1::ViewClosed::NOT_FOUND:
        Close(state_ == State::kReady ? State::kDeleted : State::kNotFound);
        break;
      default:
        behind_ = true;
        return Taken::kOpenAgain;
    }
  }
  return gone() ? Taken::kOver : Taken::kGoOn;
}

void MailboxView::OnChunk(const v1::ViewChunk& chunk) {
  if (!loading_) loading_ = std::make_unique<Loading>();
  if (chunk.first()) BeginLoading(chunk);
  if (!loading_->begun || chunk.epoch() != loading_->epoch) return;
  Loading& loading = *loading_;
  const v1::Rows& rows = chunk.rows();
  for (int i = 0; i < rows.uid_size(); ++i) {
    const MessageRow row = RowAt(rows, i);
    if (loading.incremental) {
      loading.changed.push_back(row);
    } else if (row.uid > loading.rows.last_uid()) {
      loading.rows.Append(row);
    }
  }
  const std::vector<NumberRange> expunged = Ranges(chunk.expunged());
  loading.expunged.insert(loading.expunged.end(), expunged.begin(), expunged.end());
  if (chunk.last()) FinishLoading();
}

void MailboxView::BeginLoading(const v1::ViewChunk& chunk) {
  std::vector<v1::ViewDelta> deltas = std::move(loading_->deltas);
  loading_ = std::make_unique<Loading>();
  loading_->begun = true;
  loading_->deltas = std::move(deltas);
  loading_->epoch = chunk.epoch();
  loading_->modseq = chunk.modseq();
  loading_->uid_validity = chunk.uid_validity();
  loading_->uid_next = chunk.uid_next();
  // Only what is there can be added to.
  loading_->incremental = chunk.incremental() && state_ == State::kReady;
  loading_->keyword_names.assign(chunk.keyword_names().begin(), chunk.keyword_names().end());
}

void MailboxView::FinishLoading() {
  const std::unique_ptr<Loading> loading = std::move(loading_);
  behind_ = false;
  if (state_ == State::kReady && loading->uid_validity != uid_validity_)
    return Close(State::kChanged);
  // Names are only ever appended, so a shorter list is an older one.
  if (loading->keyword_names.size() >= keyword_names_.size())
    keyword_names_ = std::move(loading->keyword_names);
  if (loading->incremental) {
    ApplyIncremental(*loading);
  } else {
    ApplyFull(*loading);
  }
  uid_validity_ = loading->uid_validity;
  uid_next_ = std::max(uid_next_, loading->uid_next);
  modseq_ = std::max(modseq_, loading->modseq);
  state_ = State::kReady;
  for (const v1::ViewDelta& delta : loading->deltas) ApplyDelta(delta);
  Changed();
}

void MailboxView::ApplyIncremental(Loading& loading) {
  Expunge(loading.expunged);
  for (const MessageRow& row : loading.changed) {
    if (messages_.Find(row.uid)) {
      ChangeRow(row, 0);
    } else {
      AppendRow(row);
    }
  }
}

void MailboxView::ApplyFull(Loading& loading) {
  if (state_ == State::kLoading) {
    messages_ = std::move(loading.rows);
    messages_.Shrink();
    return;
  }
  // Sessions have seen the old rows: what differs goes through the log, as if it had come as
  // deltas.
  std::vector<size_t> doomed;
  for (size_t i = 0; i < messages_.size(); ++i)
    if (!loading.rows.Find(messages_.uid(i))) doomed.push_back(i);
  ExpungeRows(doomed);
  for (size_t i = 0; i < loading.rows.size(); ++i) {
    const std::optional<size_t> here = messages_.Find(loading.rows.uid(i));
    if (!here) {
      AppendRow(loading.rows.Row(i));
    } else if (messages_.modseq(*here) != loading.rows.modseq(i)) {
      ChangeRow(loading.rows.Row(i), 0);
    }
  }
}

void MailboxView::ApplyDelta(const v1::ViewDelta& delta) {
  // [deep-structures 7] what the snapshot had already.
  if (delta.modseq() <= modseq_) return;
  const uint64_t operation = OperationKey(delta.operation());
  for (const std::string& name : delta.new_keywords()) keyword_names_.push_back(name);
  for (int i = 0; i < delta.added().uid_size(); ++i) AppendRow(RowAt(delta.added(), i));
  for (int i = 0; i < delta.changed().uid_size(); ++i)
    ChangeRow(RowAt(delta.changed(), i), operation);
  Expunge(Ranges(delta.expunged()));
  uid_next_ = std::max(uid_next_, delta.uid_next());
  modseq_ = delta.modseq();
  Measure(delta);
  Trace(delta, mailbox_);
  if (state_ == State::kReady) Changed();
}

void MailboxView::AppendRow(const MessageRow& row) {
  if (row.uid <= messages_.last_uid()) {
    observe::Error("imap.view.order", {{"mailbox", mailbox_}, {"uid", row.uid}});
    return;
  }
  messages_.Append(row);
  uid_next_ = std::max(uid_next_, row.uid + 1);
}

void MailboxView::ChangeRow(const MessageRow& row, uint64_t operation) {
  const std::optional<size_t> i = messages_.Find(row.uid);
  if (!i) return;
  messages_.SetFlags(*i, row.modseq, row.flags, row.keywords);
  Log(LogEntry::Kind::kChanged, row.uid, operation);
}

void MailboxView::Expunge(const std::vector<NumberRange>& ranges) {
  std::vector<size_t> doomed;
  for (const NumberRange& range : ranges) {
    for (size_t i = messages_.LowerBound(range.first);
         i < messages_.size() && messages_.uid(i) <= range.last; ++i)
      doomed.push_back(i);
  }
  std::sort(doomed.begin(), doomed.end());
  doomed.erase(std::unique(doomed.begin(), doomed.end()), doomed.end());
  ExpungeRows(doomed);
}

void MailboxView::ExpungeRows(const std::vector<size_t>& doomed) {
  if (doomed.empty()) return;
  // Cursors read the log against the rows as they were, so the log is written when the rows are
  // gone only in effect: nothing runs between these two lines.
  for (const size_t i : doomed) Log(LogEntry::Kind::kExpunged, messages_.uid(i), 0);
  messages_.Erase(doomed);
}

void MailboxView::Log(LogEntry::Kind kind, uint32_t uid, uint64_t operation) {
  if (cursors_.empty()) return;
  if (!log_.empty()) {
    LogEntry& last = log_.back();
    if (last.kind == kind && last.operation == operation && last.last + 1 == uid) {
      // An entry that some cursor has read already must not grow under it.
      const bool unread = std::none_of(cursors_.begin(), cursors_.end(), [this](const Cursor* c) {
        return c->position() >= log_end();
      });
      if (unread) {
        last.last = uid;
        return;
      }
    }
  }
  log_.push_back({uid, uid, operation, kind});
}

void MailboxView::TrimLog() {
  if (log_.size() > kMaxLog)
    for (Cursor* cursor : cursors_) cursor->CatchUp();
  uint64_t least = log_end();
  for (const Cursor* cursor : cursors_) least = std::min(least, cursor->position());
  while (log_begin_ < least) {
    log_.pop_front();
    ++log_begin_;
  }
  if (log_.empty()) log_.shrink_to_fit();
}

void MailboxView::Close(State state) {
  state_ = state;
  loading_.reset();
  Changed();
}

void MailboxView::Changed() {
  TrimLog();
  changed_.NotifyAll();
  // A listener may go while it is told.
  const std::vector<ViewListener*> listeners = listeners_;
  for (ViewListener* listener : listeners)
    if (std::find(listeners_.begin(), listeners_.end(), listener) != listeners_.end())
      listener->OnViewChanged();
}

net::Task<absl::Status> MailboxView::WaitReady(std::chrono::milliseconds limit) {
  co_return co_await WaitFor(0, limit);
}

net::Task<absl::Status> MailboxView::WaitFor(uint64_t modseq, std::chrono::milliseconds limit) {
  return WaitUntil([this, modseq] { return modseq_ >= modseq; }, limit);
}

net::Task<absl::Status> MailboxView::WaitCurrent(std::chrono::milliseconds limit) {
  return WaitUntil([this] { return !behind_; }, limit);
}

net::Task<absl::Status> MailboxView::WaitUntil(std::function<bool()> there,
                                               std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!gone() && (state_ == State::kLoading || !there())) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0)
      co_return base::Error(absl::StatusCode::kDeadlineExceeded, "view is late");
    co_await changed_.WaitFor(left);
  }
  co_return StateError(state_);
}

}  // namespace posthorn::imap_gateway
