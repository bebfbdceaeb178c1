#include "store-service/sync/view_chunks.h"

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "store-service/sync/lost_changes.h"

namespace posthorn::store_service {
namespace {

void AddKeywords(const MessageColumns& row, int index, v1::Rows& rows) {
  // Keyword columns stay empty until a row has one; then those before get zeros.
  if (row.keywords.low == 0 && row.keywords.high == 0 && rows.keywords_low().empty()) return;
  while (rows.keywords_low_size() < index) {
    rows.add_keywords_low(0);
    rows.add_keywords_high(0);
  }
  rows.add_keywords_low(row.keywords.low);
  rows.add_keywords_high(row.keywords.high);
}

// What flag changes carry.
void AddChanged(const MessageColumns& row, v1::Rows& rows) {
  AddKeywords(row, rows.uid_size(), rows);
  rows.add_uid(row.uid);
  rows.add_modseq(row.modseq);
  rows.add_flags(row.flags);
}

void AddRow(const MessageColumns& row, v1::Rows& rows) {
  AddChanged(row, rows);
  rows.add_internal_date_ms(row.internal_date_ms);
  rows.add_size(row.size);
  rows.add_email_id(row.email_id);
  rows.add_thread_id(row.thread_id);
  rows.add_blob_key(row.blob_key);
  rows.add_save_date_ms(row.save_date_ms);
  rows.add_zone_minutes(row.zone_minutes);
}

void AddSpans(std::vector<Uid> uids, v1::ViewChunk& chunk) {
  std::sort(uids.begin(), uids.end());
  std::vector<UidSpan> spans;
  for (const Uid uid : uids) AppendUid(spans, uid);
  for (const UidSpan& span : spans) {
    auto* range = chunk.add_expunged();
    range->set_first(span.first);
    range->set_last(span.last);
  }
}

bool KnowsEnough(const v1::OpenView& open, const MailboxRow& row) {
  if (open.known_modseq() == 0 || open.known_uid_validity() != row.uid_validity) return false;
  return open.known_modseq() >= row.log_floor;
}

v1::ViewChunk EmptyChunk(const v1::OpenView& open, const MailboxRow& row, uint64_t epoch) {
  v1::ViewChunk chunk;
  chunk.set_view(open.view());
  chunk.set_epoch(epoch);
  chunk.set_modseq(row.modseq);
  chunk.set_uid_validity(row.uid_validity);
  chunk.set_uid_next(row.uid_next);
  return chunk;
}

}  // namespace

absl::StatusOr<ViewSnapshot> ReadView(Database& database, AccountId account,
                                      const v1::OpenView& open, uint64_t epoch) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  ASSIGN_OR_RETURN(const std::optional<MailboxRow> row,
                   snapshot->FindMailbox(account, open.mailbox()));
  ViewSnapshot view;
  if (!row) return view;
  const KnownState known{open.mailbox(), open.known_uid_validity(), open.known_modseq()};
  if (IsAhead(known, *row)) {
    view.found = ViewSnapshot::Found::kLost;
    return view;
  }
  view.found = ViewSnapshot::Found::kYes;
  view.modseq = row->modseq;
  const bool incremental = KnowsEnough(open, *row);
  const ModSeq since = incremental ? open.known_modseq() : 0;
  const v1::ViewChunk empty = EmptyChunk(open, *row, epoch);
  view.chunks.push_back(empty);
  view.chunks.front().set_first(true);
  ASSIGN_OR_RETURN(const std::vector<KeywordRow> keywords,
                   snapshot->Keywords(account, open.mailbox()));
  for (const KeywordRow& keyword : keywords) view.chunks.front().add_keyword_names(keyword.name);
  if (incremental) {
    std::vector<Uid> gone;
    RETURN_IF_ERROR(snapshot->ReadExpunged(account, open.mailbox(), since,
                                           [&](Uid uid) { gone.push_back(uid); }));
    AddSpans(std::move(gone), view.chunks.front());
  }
  RETURN_IF_ERROR(
      snapshot->ReadColumns(account, open.mailbox(), since, [&](const MessageColumns& message) {
        if (view.chunks.back().rows().uid_size() >= static_cast<int>(kChunkRows)) {
          view.chunks.push_back(empty);
        }
        AddRow(message, *view.chunks.back().mutable_rows());
      }));
  for (v1::ViewChunk& chunk : view.chunks) chunk.set_incremental(incremental);
  view.chunks.back().set_last(true);
  return view;
}

v1::ViewDelta ToDelta(uint64_t view, const Delta& delta) {
  v1::ViewDelta reply;
  reply.set_view(view);
  reply.set_modseq(delta.modseq);
  reply.set_uid_next(delta.uid_next);
  reply.set_operation(delta.operation);
  reply.set_accepted_ms(delta.accepted_ms);
  reply.set_traceparent(delta.traceparent);
  for (const MessageColumns& row : delta.added) AddRow(row, *reply.mutable_added());
  for (const MessageColumns& row : delta.changed) AddChanged(row, *reply.mutable_changed());
  for (const std::string& name : delta.new_keywords) reply.add_new_keywords(name);
  for (const UidSpan& span : delta.expunged) {
    auto* range = reply.add_expunged();
    range->set_first(span.first);
    range->set_last(span.last);
  }
  return reply;
}

v1::MailboxState ToState(const MailboxRow& row) {
  v1::MailboxState state;
  state.set_mailbox(row.mailbox);
  state.set_name(row.name);
  state.set_special_use(row.special_use);
  state.set_uid_validity(row.uid_validity);
  state.set_uid_next(row.uid_next);
  state.set_highest_modseq(row.modseq);
  state.set_messages(row.messages);
  state.set_unseen(row.unseen);
  state.set_deleted(row.deleted);
  state.set_size(row.size);
  return state;
}

}  // namespace posthorn::store_service
