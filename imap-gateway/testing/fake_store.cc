#include "imap-gateway/testing/fake_store.h"

#include <algorithm>

#include "imap-gateway/session/uid_ranges.h"
#include "imap-gateway/testing/fake_streams.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {

namespace v1 = ::posthorn::store::v1;

FakeStore::FakeStore(net::Loop& loop) : loop_(loop) { AddMailbox("INBOX"); }
FakeStore::~FakeStore() = default;

void FakeStore::Jitter(uint32_t seed) {
  jitter_ = seed != 0;
  random_.seed(seed);
}

net::Task<void> FakeStore::Pause() {
  if (!jitter_) co_return;
  for (uint32_t turns = random_() % 3; turns > 0; --turns)
    co_await net::Sleep(loop_, std::chrono::milliseconds(0));
}

net::Task<absl::Status> FakeStore::Begin(const std::string& ticket) {
  ++asked;
  if (ticket != "T7") co_return base::Denied("ticket");
  if (down) co_return base::Unavailable("down");
  if (writes_unknown) co_return base::Error(absl::StatusCode::kUnknown, "unknown");
  co_await Pause();
  co_return absl::OkStatus();
}

FakeStore::Mailbox* FakeStore::ById(uint64_t id) {
  for (auto& [name, mailbox] : mailboxes_)
    if (mailbox.id == id) return &mailbox;
  return nullptr;
}

uint64_t FakeStore::Commit(Mailbox& mailbox) { return mailbox.modseq = ++modseq_; }

FakeStore::Mailbox& FakeStore::AddMailbox(const std::string& name, const std::string& special_use) {
  Mailbox& mailbox = mailboxes_[name];
  mailbox.id = ++last_id_;
  mailbox.name = name;
  mailbox.special_use = special_use;
  mailbox.uid_validity = static_cast<uint32_t>(1000 + mailbox.id);
  Commit(mailbox);
  PublishAccount(&mailbox, 0, false);
  return mailbox;
}

void FakeStore::FillRow(uint32_t uid, const Message& message, v1::Rows& rows) const {
  rows.add_uid(uid);
  rows.add_modseq(message.modseq);
  rows.add_flags(message.flags);
  rows.add_keywords_low(message.keywords);
  rows.add_internal_date_ms(message.date_ms);
  rows.add_zone_minutes(message.zone);
  rows.add_size(message.prefix.size() + message.blob.size());
  rows.add_save_date_ms(message.date_ms);
}

uint32_t FakeStore::Insert(Mailbox& mailbox, Message message, v1::ViewDelta& delta) {
  const uint32_t uid = mailbox.uid_next++;
  message.modseq = mailbox.modseq;
  FillRow(uid, message, *delta.mutable_added());
  mailbox.messages[uid] = std::move(message);
  return uid;
}

uint32_t FakeStore::AddMessage(const std::string& name, std::string blob, uint32_t flags,
                               std::string prefix) {
  Mailbox& box = mailbox(name);
  Commit(box);
  Message message;
  message.flags = flags;
  message.date_ms = 1700000000000;
  message.prefix = std::move(prefix);
  message.blob = std::move(blob);
  v1::ViewDelta delta;
  const uint32_t uid = Insert(box, std::move(message), delta);
  Publish(box, std::move(delta));
  return uid;
}

void FakeStore::ExpungeNow(const std::string& name, uint32_t uid) {
  Mailbox& box = mailbox(name);
  Commit(box);
  box.messages.erase(uid);
  box.expunged.emplace_back(box.modseq, uid);
  v1::ViewDelta delta;
  PackRanges(NumberSet({{uid, uid}}), delta.mutable_expunged());
  Publish(box, std::move(delta));
}

void FakeStore::SetFlagsNow(const std::string& name, uint32_t uid, uint32_t flags) {
  Mailbox& box = mailbox(name);
  Message& message = box.messages.at(uid);
  message.modseq = Commit(box);
  message.flags = flags;
  v1::ViewDelta delta;
  FillRow(uid, message, *delta.mutable_changed());
  Publish(box, std::move(delta));
}

v1::MailboxReply FakeStore::Answer(const Mailbox& mailbox) {
  v1::MailboxReply reply;
  reply.set_mailbox(mailbox.id);
  reply.set_modseq(modseq_);
  reply.set_uid_validity(mailbox.uid_validity);
  return reply;
}

Store::Reply<v1::MailboxReply> FakeStore::CreateMailbox(std::string ticket,
                                                        v1::CreateMailboxRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  if (mailboxes_.contains(r.name())) co_return base::Exists("mailbox");
  const v1::MailboxReply reply = Answer(AddMailbox(r.name(), r.special_use()));
  co_await Pause();
  co_return reply;
}

Store::Reply<v1::MailboxReply> FakeStore::DeleteMailbox(std::string ticket,
                                                        v1::DeleteMailboxRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  if (!mailboxes_.contains(r.name())) co_return base::NotFound("mailbox");
  Mailbox box = std::move(mailboxes_.at(r.name()));
  mailboxes_.erase(r.name());
  Commit(box);
  for (SyncCall* stream : streams_) stream->Closed(box.id, v1::ViewClosed::DELETED);
  PublishAccount(nullptr, box.id, false);
  co_return Answer(box);
}

Store::Reply<v1::MailboxReply> FakeStore::RenameMailbox(std::string ticket,
                                                        v1::RenameMailboxRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  if (!mailboxes_.contains(r.from())) co_return base::NotFound("mailbox");
  if (mailboxes_.contains(r.to())) co_return base::Exists("mailbox");
  Mailbox box = std::move(mailboxes_.at(r.from()));
  mailboxes_.erase(r.from());
  box.name = r.to();
  Commit(box);
  mailboxes_[r.to()] = std::move(box);
  PublishAccount(&mailboxes_.at(r.to()), 0, false);
  co_return Answer(mailboxes_.at(r.to()));
}

Store::Reply<v1::MailboxReply> FakeStore::Subscribe(std::string ticket, v1::SubscribeRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  if (r.subscribed()) {
    subscriptions_.insert(r.name());
  } else {
    subscriptions_.erase(r.name());
  }
  ++modseq_;
  PublishAccount(nullptr, 0, true);
  co_return Answer(Mailbox());
}

uint64_t FakeStore::KeywordBits(Mailbox& mailbox,
                                const google::protobuf::RepeatedPtrField<std::string>& names,
                                v1::ViewDelta& delta) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    auto found = std::find(mailbox.keyword_names.begin(), mailbox.keyword_names.end(), name);
    if (found == mailbox.keyword_names.end()) {
      mailbox.keyword_names.push_back(name);
      delta.add_new_keywords(name);
      found = std::prev(mailbox.keyword_names.end());
    }
    bits |= uint64_t{1} << (found - mailbox.keyword_names.begin());
  }
  return bits;
}

Store::Reply<v1::AppendReply> FakeStore::Append(std::string ticket, v1::AppendRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  if (!mailboxes_.contains(r.mailbox())) co_return base::NotFound("mailbox");
  Mailbox& box = mailbox(r.mailbox());
  Commit(box);
  v1::ViewDelta delta;
  v1::AppendReply reply;
  for (const v1::AppendMessage& appended : r.messages()) {
    Message message;
    message.flags = appended.flags();
    message.keywords = KeywordBits(box, appended.keywords(), delta);
    message.date_ms =
        appended.internal_date_ms() != 0 ? appended.internal_date_ms() : 1700000000000;
    message.zone = appended.zone_minutes();
    message.blob = blobs_.at(appended.blob().key());
    reply.add_uids(Insert(box, std::move(message), delta));
  }
  delta.set_operation(r.operation());
  reply.set_mailbox(box.id);
  reply.set_uid_validity(box.uid_validity);
  reply.add_reached()->set_mailbox(box.id);
  reply.mutable_reached(0)->set_modseq(box.modseq);
  Publish(box, std::move(delta));
  co_await Pause();
  co_return reply;
}

Store::Reply<v1::StoreFlagsReply> FakeStore::StoreFlags(std::string ticket,
                                                        v1::StoreFlagsRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  Mailbox* box = ById(r.mailbox());
  if (box == nullptr) co_return base::NotFound("mailbox");
  v1::ViewDelta delta;
  v1::StoreFlagsReply reply;
  const uint64_t before = modseq_;
  Commit(*box);
  const uint64_t keywords = KeywordBits(*box, r.keywords(), delta);
  NumberSet modified;
  const NumberSet named = UnpackRanges(r.uids());
  for (auto& [uid, message] : box->messages) {
    if (!named.Contains(uid)) continue;
    if (r.has_unchanged_since() && message.modseq > r.unchanged_since()) {
      modified.Append(uid);
      continue;
    }
    uint32_t flags = r.flags();
    uint64_t bits = keywords;
    if (r.mode() == v1::StoreFlagsRequest::ADD) {
      flags |= message.flags;
      bits |= message.keywords;
    } else if (r.mode() == v1::StoreFlagsRequest::REMOVE) {
      flags = message.flags & ~flags;
      bits = message.keywords & ~bits;
    }
    if (flags == message.flags && bits == message.keywords) continue;
    message.flags = flags;
    message.keywords = bits;
    message.modseq = box->modseq;
    FillRow(uid, message, *delta.mutable_changed());
  }
  PackRanges(modified, reply.mutable_modified());
  const bool changed = delta.changed().uid_size() > 0 || delta.new_keywords_size() > 0;
  if (!changed) modseq_ = box->modseq = before;
  reply.set_changed(static_cast<uint32_t>(delta.changed().uid_size()));
  delta.set_operation(r.operation());
  if (changed) {
    reply.add_reached()->set_mailbox(box->id);
    reply.mutable_reached(0)->set_modseq(box->modseq);
    Publish(*box, std::move(delta));
  }
  co_await Pause();
  co_return reply;
}

Store::Reply<v1::ExpungeReply> FakeStore::Expunge(std::string ticket, v1::ExpungeRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  Mailbox* box = ById(r.mailbox());
  if (box == nullptr) co_return base::NotFound("mailbox");
  const NumberSet named = UnpackRanges(r.uids());
  NumberSet gone;
  for (const auto& [uid, message] : box->messages) {
    if (r.only_deleted() && (message.flags & v1::DELETED) == 0) continue;
    if (named.empty() || named.Contains(uid)) gone.Append(uid);
  }
  v1::ExpungeReply reply;
  if (gone.empty()) co_return reply;
  Commit(*box);
  for (const NumberRange& range : gone.ranges()) {
    for (uint32_t uid = range.first; uid <= range.last; ++uid) {
      box->messages.erase(uid);
      box->expunged.emplace_back(box->modseq, uid);
    }
  }
  v1::ViewDelta delta;
  PackRanges(gone, delta.mutable_expunged());
  PackRanges(gone, reply.mutable_expunged());
  reply.add_reached()->set_mailbox(box->id);
  reply.mutable_reached(0)->set_modseq(box->modseq);
  Publish(*box, std::move(delta));
  co_await Pause();
  co_return reply;
}

Store::Reply<v1::CopyReply> FakeStore::Copy(std::string ticket, v1::CopyRequest r) {
  CO_RETURN_IF_ERROR(co_await Begin(ticket));
  Mailbox* from = ById(r.mailbox());
  if (from == nullptr || !mailboxes_.contains(r.target())) co_return base::NotFound("mailbox");
  Mailbox& to = mailbox(r.target());
  const NumberSet named = UnpackRanges(r.uids());
  NumberSet sources;
  for (const auto& [uid, message] : from->messages)
    if (named.Contains(uid)) sources.Append(uid);
  v1::CopyReply reply;
  if (sources.empty()) co_return reply;
  to.modseq = from->modseq = r.move() ? ++modseq_ : from->modseq;
  if (!r.move()) Commit(to);
  v1::ViewDelta added;
  NumberSet targets;
  for (const NumberRange& range : sources.ranges()) {
    for (uint32_t uid = range.first; uid <= range.last; ++uid) {
      Message copy = from->messages.at(uid);
      google::protobuf::RepeatedPtrField<std::string> names;
      for (size_t i = 0; i < from->keyword_names.size(); ++i)
        if ((copy.keywords >> i & 1) != 0) *names.Add() = from->keyword_names[i];
      copy.keywords = KeywordBits(to, names, added);
      targets.Append(Insert(to, std::move(copy), added));
    }
  }
  v1::ViewDelta removed;
  for (const NumberRange& range : sources.ranges()) {
    for (uint32_t uid = range.first; r.move() && uid <= range.last; ++uid) {
      from->messages.erase(uid);
      from->expunged.emplace_back(modseq_, uid);
    }
  }
  reply.set_target_mailbox(to.id);
  reply.set_uid_validity(to.uid_validity);
  PackRanges(sources, reply.mutable_source_uids());
  PackRanges(targets, reply.mutable_target_uids());
  for (const Mailbox* box : {&to, static_cast<Mailbox*>(from)}) {
    reply.add_reached()->set_mailbox(box->id);
    reply.mutable_reached()->rbegin()->set_modseq(box->modseq);
  }
  if (r.move()) PackRanges(sources, removed.mutable_expunged());
  if (r.move() && &to == from) *added.mutable_expunged() = removed.expunged();
  Publish(to, std::move(added));
  if (r.move() && &to != from) Publish(*from, std::move(removed));
  co_await Pause();
  co_return reply;
}

v1::SearchTextReply FakeStore::FindText(const v1::SearchTextRequest& r) {
  v1::SearchTextReply reply;
  Mailbox* box = ById(r.mailbox());
  if (box == nullptr) return reply;
  const NumberSet named = UnpackRanges(r.uids());
  NumberSet found;
  for (const auto& [uid, message] : box->messages) {
    const std::string text = message.text();
    std::string haystack = text;
    const size_t split = text.find("\r\n\r\n");
    if (r.where() == v1::SearchTextRequest::BODY)
      haystack = text.substr(std::min(text.size(), split));
    if (r.where() == v1::SearchTextRequest::HEADER) {
      haystack = "";
      for (const std::string_view line : base::Split(std::string_view(text).substr(0, split), '\n'))
        if (base::StartsWithIgnoreCase(line, base::StrCat(r.field(), ":")))
          haystack = line.substr(r.field().size() + 1);
    }
    if (named.Contains(uid) && base::ContainsIgnoreCase(haystack, r.needle())) found.Append(uid);
  }
  PackRanges(found, reply.mutable_uids());
  return reply;
}

}  // namespace posthorn::imap_gateway
