#include "imap-gateway/testing/fake_streams.h"

#include <algorithm>

#include "imap-gateway/session/uid_ranges.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"

namespace posthorn::imap_gateway {

namespace v1 = ::posthorn::store::v1;

void FakeStore::Publish(Mailbox& mailbox, v1::ViewDelta delta) {
  delta.set_modseq(mailbox.modseq);
  delta.set_uid_next(mailbox.uid_next);
  for (SyncCall* stream : streams_) stream->Delta(mailbox.id, delta);
  PublishAccount(&mailbox, 0, false);
}

void FakeStore::FillState(const Mailbox& mailbox, v1::MailboxState& state) const {
  state.set_mailbox(mailbox.id);
  state.set_name(mailbox.name);
  state.set_special_use(mailbox.special_use);
  state.set_uid_validity(mailbox.uid_validity);
  state.set_uid_next(mailbox.uid_next);
  state.set_highest_modseq(mailbox.modseq);
  state.set_messages(static_cast<uint32_t>(mailbox.messages.size()));
  uint32_t unseen = 0;
  uint64_t size = 0;
  for (const auto& [uid, message] : mailbox.messages) {
    unseen += (message.flags & v1::SEEN) == 0 ? 1 : 0;
    size += message.text().size();
  }
  state.set_unseen(unseen);
  state.set_size(size);
}

void FakeStore::PublishAccount(const Mailbox* changed, uint64_t deleted, bool subscriptions) {
  v1::AccountState state;
  state.set_modseq(modseq_);
  if (changed != nullptr) FillState(*changed, *state.add_mailboxes());
  if (deleted != 0) state.add_deleted(deleted);
  state.set_subscriptions_changed(subscriptions);
  for (const std::string& name : subscriptions_)
    if (subscriptions) state.add_subscriptions(name);
  state.set_quota_bytes(quota);
  for (SyncCall* stream : streams_) stream->Account(state);
}

void FakeStore::BreakStreams() {
  for (SyncCall* stream : streams_) stream->Break();
}

std::unique_ptr<rpc::RawCall> FakeStore::Attach(cluster::Place) { return std::make_unique<SyncCall>(*this); }
std::unique_ptr<rpc::RawCall> FakeStore::Put(std::string) {
  ++asked;
  return std::make_unique<PutCall>(*this);
}
std::unique_ptr<rpc::RawCall> FakeStore::ReadMessages(std::string) {
  ++asked;
  return std::make_unique<ReadCall>(*this, ReadCall::Kind::kMessages);
}
std::unique_ptr<rpc::RawCall> FakeStore::ReadDigests(std::string) {
  ++asked;
  return std::make_unique<ReadCall>(*this, ReadCall::Kind::kDigests);
}

std::unique_ptr<rpc::RawCall> FakeStore::SearchText(std::string) {
  ++asked;
  return std::make_unique<SearchCall>(*this);
}

FakeStore::SyncCall::SyncCall(FakeStore& store) : store_(store), wake_(store.loop_) {
  if (!store_.down) store_.streams_.insert(this);
  broken_ = store_.down;
}
FakeStore::SyncCall::~SyncCall() { store_.streams_.erase(this); }

void FakeStore::SyncCall::Break() {
  broken_ = true;
  wake_.NotifyAll();
}
void FakeStore::SyncCall::WritesDone() { Break(); }

v1::SyncReply& FakeStore::SyncCall::News() {
  wake_.NotifyAll();
  return news_.emplace_back();
}

net::Task<absl::Status> FakeStore::SyncCall::Write(const google::protobuf::MessageLite& message) {
  const auto& request = static_cast<const v1::SyncRequest&>(message);
  if (broken_) co_return base::Unavailable("broken");
  if (!request.has_credit()) ++store_.asked;
  if (request.has_open()) Open(request.open());
  if (request.has_close()) views_.erase(request.close().view());
  if (request.has_open_account()) OpenAccount(request.open_account());
  if (request.has_close_account()) accounts_.erase(request.close_account().view());
  if (request.has_barrier()) {
    v1::BarrierDone& done = *News().mutable_barrier();
    done.set_barrier(request.barrier().barrier());
    done.set_modseq(store_.modseq_);
    done.set_denied(request.barrier().ticket() != "T7");
  }
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<bool>> FakeStore::SyncCall::Read(google::protobuf::MessageLite& into) {
  co_await store_.Pause();
  while (!broken_ && news_.empty() && chunks_.empty()) co_await wake_.Wait();
  if (broken_) co_return base::Unavailable("broken");
  std::deque<v1::SyncReply>& from = news_.empty() ? chunks_ : news_;
  static_cast<v1::SyncReply&>(into) = std::move(from.front());
  from.pop_front();
  co_return true;
}

void FakeStore::SyncCall::Open(const v1::OpenView& open) {
  const Mailbox* mailbox = store_.ById(open.mailbox());
  if (open.ticket() != "T7" || mailbox == nullptr) {
    v1::ViewClosed& closed = *News().mutable_closed();
    closed.set_view(open.view());
    closed.set_reason(mailbox == nullptr ? v1::ViewClosed::NOT_FOUND : v1::ViewClosed::DENIED);
    return;
  }
  views_[open.view()] = open.mailbox();
  const bool known = store_.keeps_history && open.known_uid_validity() == mailbox->uid_validity;
  Snapshot(open.view(), *mailbox, known ? open.known_modseq() : 0);
}

void FakeStore::SyncCall::Snapshot(uint64_t view, const Mailbox& mailbox, uint64_t known) {
  std::vector<v1::ViewChunk> made(1);
  for (const auto& [uid, message] : mailbox.messages) {
    if (message.modseq <= known) continue;
    if (static_cast<size_t>(made.back().rows().uid_size()) >= store_.rows_per_chunk)
      made.emplace_back();
    store_.FillRow(uid, message, *made.back().mutable_rows());
  }
  made.front().set_first(true);
  made.back().set_last(true);
  for (const std::string& name : mailbox.keyword_names) made.front().add_keyword_names(name);
  for (const auto& [modseq, uid] : mailbox.expunged)
    if (known != 0 && modseq > known)
      PackRanges(NumberSet({{uid, uid}}), made.front().mutable_expunged());
  ++last_epoch_;
  for (v1::ViewChunk& chunk : made) {
    chunk.set_view(view);
    chunk.set_epoch(last_epoch_);
    chunk.set_modseq(mailbox.modseq);
    chunk.set_uid_validity(mailbox.uid_validity);
    chunk.set_uid_next(mailbox.uid_next);
    chunk.set_incremental(known != 0);
    *chunks_.emplace_back().mutable_chunk() = std::move(chunk);
  }
  wake_.NotifyAll();
}

void FakeStore::SyncCall::OpenAccount(const v1::OpenAccount& open) {
  if (open.ticket() != "T7") {
    News().mutable_closed()->set_view(open.view());
    news_.back().mutable_closed()->set_reason(v1::ViewClosed::DENIED);
    return;
  }
  accounts_.insert(open.view());
  v1::AccountState& state = *News().mutable_account();
  state.set_view(open.view());
  state.set_full(true);
  state.set_modseq(store_.modseq_);
  for (const auto& [name, mailbox] : store_.mailboxes_)
    store_.FillState(mailbox, *state.add_mailboxes());
  for (const std::string& name : store_.subscriptions_) state.add_subscriptions(name);
  state.set_quota_bytes(store_.quota);
}

void FakeStore::SyncCall::Delta(uint64_t mailbox, const v1::ViewDelta& delta) {
  for (const auto& [view, id] : views_) {
    if (id != mailbox) continue;
    v1::ViewDelta& news = *News().mutable_delta();
    news = delta;
    news.set_view(view);
  }
}

void FakeStore::SyncCall::Closed(uint64_t mailbox, v1::ViewClosed::Reason reason) {
  for (const auto& [view, id] : views_) {
    if (id != mailbox) continue;
    News().mutable_closed()->set_view(view);
    news_.back().mutable_closed()->set_reason(reason);
  }
}

void FakeStore::SyncCall::Account(const v1::AccountState& state) {
  for (const uint64_t view : accounts_) {
    v1::AccountState& news = *News().mutable_account();
    news = state;
    news.set_view(view);
  }
}

net::Task<absl::Status> FakeStore::ReadCall::Write(const google::protobuf::MessageLite& message) {
  if (store_.down) co_return base::Unavailable("down");
  co_await store_.Pause();
  if (kind_ == Kind::kMessages) {
    Messages(static_cast<const v1::ReadMessagesRequest&>(message));
  } else {
    Digests(static_cast<const v1::ReadDigestsRequest&>(message));
  }
  co_return absl::OkStatus();
}

void FakeStore::ReadCall::Messages(const v1::ReadMessagesRequest& request) {
  const Mailbox* mailbox = store_.ById(request.mailbox());
  for (int i = 0; i < request.parts_size(); ++i) {
    const v1::MessagePart& part = request.parts(i);
    v1::ReadMessagesReply reply;
    reply.set_part(static_cast<uint32_t>(i));
    if (mailbox == nullptr || !mailbox->messages.contains(part.uid())) {
      reply.set_problem(v1::ReadMessagesReply::GONE);
      reply.set_last(true);
      messages_.push_back(reply);
      continue;
    }
    const Message& message = mailbox->messages.at(part.uid());
    const std::string text = message.text();
    std::string range = text.substr(std::min<size_t>(part.offset(), text.size()));
    if (part.length() != 0) range = range.substr(0, part.length());
    if (part.header_only())
      range = text.substr(0, std::min(text.size(), text.find("\r\n\r\n") + 4));
    reply.set_prefix_size(static_cast<uint32_t>(message.prefix.size()));
    reply.set_total_size(text.size());
    size_t at = 0;
    do {
      reply.set_chunk(range.substr(at, store_.bytes_per_chunk));
      at += reply.chunk().size();
      reply.set_last(at >= range.size());
      messages_.push_back(reply);
    } while (at < range.size());
  }
}

void FakeStore::ReadCall::Digests(const v1::ReadDigestsRequest& request) {
  const Mailbox* mailbox = store_.ById(request.mailbox());
  if (mailbox == nullptr) return;
  const NumberSet uids = UnpackRanges(request.uids());
  for (const auto& [uid, message] : mailbox->messages) {
    if (!uids.Contains(uid)) continue;
    if (digests_.empty() || digests_.back().uids_size() == 2) digests_.emplace_back();
    digests_.back().add_uids(uid);
    digests_.back().add_digests(mime::MakeDigest(message.blob));
    digests_.back().add_prefix_sizes(static_cast<uint32_t>(message.prefix.size()));
  }
}

net::Task<absl::StatusOr<bool>> FakeStore::ReadCall::Read(google::protobuf::MessageLite& into) {
  co_await store_.Pause();
  if (store_.down) co_return base::Unavailable("down");
  if (!messages_.empty()) {
    static_cast<v1::ReadMessagesReply&>(into) = std::move(messages_.front());
    store_.body_bytes += static_cast<v1::ReadMessagesReply&>(into).chunk().size();
    messages_.pop_front();
    co_return true;
  }
  if (digests_.empty()) co_return false;
  static_cast<v1::ReadDigestsReply&>(into) = std::move(digests_.front());
  digests_.pop_front();
  co_return true;
}

net::Task<absl::Status> FakeStore::SearchCall::Write(const google::protobuf::MessageLite& message) {
  if (store_.down) co_return base::Unavailable("down");
  co_await store_.Pause();
  replies_.push_back(store_.FindText(static_cast<const v1::SearchTextRequest&>(message)));
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<bool>> FakeStore::SearchCall::Read(google::protobuf::MessageLite& into) {
  co_await net::Sleep(store_.loop_, std::chrono::milliseconds(0));
  if (store_.down) co_return base::Unavailable("down");
  auto& reply = static_cast<v1::SearchTextReply&>(into);
  reply.Clear();
  if (store_.endless_search) co_return true;
  if (replies_.empty()) co_return false;
  reply = std::move(replies_.front());
  replies_.pop_front();
  co_return true;
}

net::Task<absl::Status> FakeStore::PutCall::Write(const google::protobuf::MessageLite& message) {
  if (store_.down) co_return base::Unavailable("down");
  bytes_.append(static_cast<const v1::PutRequest&>(message).chunk());
  co_return absl::OkStatus();
}

net::Task<absl::StatusOr<bool>> FakeStore::PutCall::Read(google::protobuf::MessageLite& into) {
  if (store_.down) co_return base::Unavailable("down");
  auto& reply = static_cast<v1::PutReply&>(into);
  reply.mutable_blob()->set_key(++store_.last_id_);
  reply.mutable_blob()->set_size(bytes_.size());
  store_.blobs_[store_.last_id_] = bytes_;
  co_return true;
}

}  // namespace posthorn::imap_gateway
