#include "store-service/mailbox/message_changes.h"

#include <string>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/mailbox/uid_ranges.h"

namespace posthorn::store_service {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

std::vector<std::string> ToVector(const Names& names) { return {names.begin(), names.end()}; }

void AddReached(Change& change, const Mailbox& mailbox,
                google::protobuf::RepeatedPtrField<v1::Reached>* reached) {
  auto* entry = reached->Add();
  entry->set_mailbox(mailbox.row.mailbox);
  entry->set_modseq(change.wrote() ? change.modseq() : mailbox.row.modseq);
}

bool OverQuota(const AccountMemory& account, uint64_t more, uint64_t quota) {
  return quota != 0 && account.row.used_bytes + more > quota;
}

// The bits of the names that exist; others are no matter.
KeywordBits KnownKeywords(const Mailbox& mailbox, const Names& names) {
  KeywordBits bits;
  for (uint32_t bit = 0; bit < mailbox.keywords.size(); ++bit) {
    for (const std::string& name : names) {
      if (base::EqualsIgnoreCase(name, mailbox.keywords[bit])) bits.Set(bit);
    }
  }
  return bits;
}

struct FlagChange {
  v1::StoreFlagsRequest::Mode mode;
  uint16_t flags;
  KeywordBits keywords;
};

std::pair<uint16_t, KeywordBits> Apply(const FlagChange& c, const MessageColumns& row) {
  switch (c.mode) {
    case v1::StoreFlagsRequest::ADD:
      return {static_cast<uint16_t>(row.flags | c.flags),
              {row.keywords.low | c.keywords.low, row.keywords.high | c.keywords.high}};
    case v1::StoreFlagsRequest::REMOVE:
      return {static_cast<uint16_t>(row.flags & ~c.flags),
              {row.keywords.low & ~c.keywords.low, row.keywords.high & ~c.keywords.high}};
    default:
      return {c.flags, c.keywords};
  }
}

// The bits of `row` in `source`, as bits of `target`.
KeywordBits Translate(Change& change, const Mailbox& source, const KeywordBits& bits,
                      Mailbox& target) {
  if (bits == KeywordBits()) return {};
  std::vector<std::string> names;
  for (uint32_t bit = 0; bit < source.keywords.size(); ++bit) {
    if (bits.Has(bit)) names.push_back(source.keywords[bit]);
  }
  return change.Keywords(target, names);
}

std::vector<std::string> NamesOf(const Mailbox& mailbox, const std::vector<MessageColumns>& rows) {
  KeywordBits all;
  for (const MessageColumns& row : rows) {
    all.low |= row.keywords.low;
    all.high |= row.keywords.high;
  }
  std::vector<std::string> names;
  for (uint32_t bit = 0; bit < mailbox.keywords.size(); ++bit) {
    if (all.Has(bit)) names.push_back(mailbox.keywords[bit]);
  }
  return names;
}

}  // namespace

absl::StatusOr<v1::AppendReply> Append(Change& change, const v1::AppendRequest& request,
                                       uint64_t quota) {
  Mailbox* mailbox = change.account().Find(request.mailbox());
  if (mailbox == nullptr) return base::NotFound("no such mailbox");
  uint64_t size = 0;
  std::vector<std::string> names;
  for (const v1::AppendMessage& message : request.messages()) {
    size += message.blob().size();
    names.insert(names.end(), message.keywords().begin(), message.keywords().end());
  }
  if (OverQuota(change.account(), size, quota)) return base::Exhausted("over quota");
  if (!change.HasRoom(*mailbox, names)) return base::Exhausted("too many keywords");
  v1::AppendReply reply;
  for (const v1::AppendMessage& message : request.messages()) {
    NewMessage row;
    row.blob_key = message.blob().key();
    row.blob_size = message.blob().size();
    row.flags = static_cast<uint16_t>(message.flags());
    row.keywords = change.Keywords(*mailbox, ToVector(message.keywords()));
    row.internal_date_ms = message.internal_date_ms();
    row.zone_minutes = static_cast<int16_t>(message.zone_minutes());
    reply.add_uids(change.Add(*mailbox, std::move(row)).uid);
  }
  reply.set_mailbox(mailbox->row.mailbox);
  reply.set_uid_validity(mailbox->row.uid_validity);
  AddReached(change, *mailbox, reply.mutable_reached());
  return reply;
}

absl::StatusOr<v1::StoreFlagsReply> StoreFlags(Change& change,
                                               const v1::StoreFlagsRequest& request) {
  Mailbox* mailbox = change.account().Find(request.mailbox());
  if (mailbox == nullptr) return base::NotFound("no such mailbox");
  if (request.mode() == v1::StoreFlagsRequest::MODE_UNSPECIFIED) return base::Invalid("no mode");
  const std::vector<std::string> names = ToVector(request.keywords());
  const bool adds = request.mode() != v1::StoreFlagsRequest::REMOVE;
  if (adds && !change.HasRoom(*mailbox, names)) return base::Exhausted("too many keywords");
  std::vector<MessageColumns*> rows;
  std::vector<UidSpan> modified;
  ForEachIn(mailbox->columns, ToSpans(request.uids()), [&](MessageColumns& row) {
    if (request.has_unchanged_since() && row.modseq > request.unchanged_since()) {
      AppendUid(modified, row.uid);
    } else {
      rows.push_back(&row);
    }
  });
  FlagChange what{request.mode(), static_cast<uint16_t>(request.flags() & kAllFlags), {}};
  if (!rows.empty()) {
    what.keywords =
        adds ? change.Keywords(*mailbox, names) : KnownKeywords(*mailbox, request.keywords());
  }
  v1::StoreFlagsReply reply;
  for (MessageColumns* row : rows) {
    const auto [flags, keywords] = Apply(what, *row);
    if (flags == row->flags && keywords == row->keywords) continue;
    change.SetFlags(*mailbox, *row, flags, keywords);
    reply.set_changed(reply.changed() + 1);
  }
  FromSpans(modified, reply.mutable_modified());
  AddReached(change, *mailbox, reply.mutable_reached());
  return reply;
}

absl::StatusOr<v1::ExpungeReply> Expunge(Change& change, const v1::ExpungeRequest& request) {
  Mailbox* mailbox = change.account().Find(request.mailbox());
  if (mailbox == nullptr) return base::NotFound("no such mailbox");
  if (!request.only_deleted() && request.uids().empty()) {
    return base::Invalid("name the messages to expunge");
  }
  const std::vector<UidSpan> spans = ToSpans(request.uids());
  v1::ExpungeReply reply;
  FromSpans(change.Expunge(*mailbox,
                           [&](const MessageColumns& row) {
                             if (request.only_deleted() && (row.flags & kDeleted) == 0)
                               return false;
                             return spans.empty() || Contains(spans, row.uid);
                           }),
            reply.mutable_expunged());
  AddReached(change, *mailbox, reply.mutable_reached());
  return reply;
}

absl::StatusOr<v1::CopyReply> Copy(Change& change, const v1::CopyRequest& request, uint64_t quota) {
  Mailbox* source = change.account().Find(request.mailbox());
  Mailbox* target = change.account().Find(request.target());
  if (source == nullptr || target == nullptr) return base::NotFound("no such mailbox");
  std::vector<MessageColumns> rows;
  uint64_t size = 0;
  ForEachIn(source->columns, ToSpans(request.uids()), [&](const MessageColumns& row) {
    rows.push_back(row);
    size += row.size;
  });
  if (!request.move() && OverQuota(change.account(), size, quota)) {
    return base::Exhausted("over quota");
  }
  if (!change.HasRoom(*target, NamesOf(*source, rows))) return base::Exhausted("too many keywords");
  std::vector<UidSpan> from;
  std::vector<UidSpan> to;
  for (const MessageColumns& row : rows) {
    AppendUid(from, row.uid);
    AppendUid(
        to, change.Copy(*source, row, *target, Translate(change, *source, row.keywords, *target)));
  }
  if (request.move() && !rows.empty()) {
    change.Expunge(*source, [&](const MessageColumns& row) { return Contains(from, row.uid); });
  }
  v1::CopyReply reply;
  reply.set_target_mailbox(target->row.mailbox);
  reply.set_uid_validity(target->row.uid_validity);
  FromSpans(from, reply.mutable_source_uids());
  FromSpans(to, reply.mutable_target_uids());
  AddReached(change, *target, reply.mutable_reached());
  if (request.move()) AddReached(change, *source, reply.mutable_reached());
  return reply;
}

}  // namespace posthorn::store_service
