// Telling the client what happened: after commands and, pushed, in IDLE.

#include "imap-gateway/protocol/response.h"
#include "imap-gateway/session/session.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kPiece = 16 << 10;

}  // namespace

void Session::AppendNewKeywords(std::string& out) {
  const std::vector<std::string>& names = selected_->cursor.view().keyword_names();
  if (selected_->keywords_told >= names.size()) return;
  selected_->keywords_told = names.size();
  base::StrAppend(out, "* FLAGS (", kSystemFlags);
  for (const std::string& name : names) base::StrAppend(out, " ", name);
  out.append(")\r\n");
}

void Session::AppendFlagsUpdate(std::string& out, uint32_t uid) {
  const uint32_t sequence = selected_->cursor.SequenceOf(uid);
  const MailboxView& view = selected_->cursor.view();
  const std::optional<size_t> row = view.messages().Find(uid);
  if (sequence == 0 || !row) return;
  base::StrAppend(out, "* ", sequence, " FETCH (UID ", uid, " FLAGS (");
  AppendFlags(out, view.messages().flags(*row), view.messages().keywords(*row),
              view.keyword_names());
  out.push_back(')');
  if (condstore_) base::StrAppend(out, " MODSEQ (", view.messages().modseq(*row), ")");
  out.append(")\r\n");
}

net::Task<absl::Status> Session::SendUpdates(Expunges expunges) {
  if (!selected_) co_return absl::OkStatus();
  Cursor& cursor = selected_->cursor;
  if (cursor.view().gone()) {
    RequestBye(std::string(ClosingReason()));
    co_return absl::OkStatus();
  }
  if (!cursor.HasNews() && selected_->keywords_told == cursor.view().keyword_names().size())
    co_return absl::OkStatus();
  std::string out;
  if (expunges == Expunges::kAllowed)
    for (const uint32_t sequence : cursor.TakeExpunged())
      base::StrAppend(out, "* ", sequence, " EXPUNGE\r\n");
  // [RFC9051 7.4.1] EXISTS counts what was not yet reported as expunged.
  if (const std::optional<uint32_t> exists = cursor.TakeNew())
    base::StrAppend(out, "* ", *exists, " EXISTS\r\n* 0 RECENT\r\n");
  AppendNewKeywords(out);
  const std::vector<uint32_t> changed = cursor.TakeChanged();
  for (const uint32_t uid : changed) {
    AppendFlagsUpdate(out, uid);
    if (out.size() > kPiece) CO_RETURN_IF_ERROR(co_await Send(out));
  }
  co_return co_await Send(out);
}

void Session::StartIdle() {
  idling_ = true;
  idle_tag_ = tag_;
  gateway_.metrics.idling->Add(1);
  if (!selected_) return;
  selected_->cursor.view().AddListener(this);
  OnViewChanged();
}

void Session::EndIdle() {
  if (!idling_) return;
  idling_ = false;
  gateway_.metrics.idling->Add(-1);
  if (selected_) selected_->cursor.view().RemoveListener(this);
}

net::Task<bool> Session::OnIdleLine(std::string_view line) {
  const bool done = base::EqualsIgnoreCase(line, "DONE");
  EndIdle();
  tag_ = std::move(idle_tag_);
  idle_tag_.clear();
  co_return co_await Finish(
      done ? Completion::Ok("IDLE completed") : Completion::Bad("Expected DONE"), nullptr);
}

void Session::OnViewChanged() {
  if (wake_scheduled_ || !idling_) return;
  wake_scheduled_ = true;
  // All that one turn of the loop brings goes out in one write.
  gateway_.loop.AtTurnEnd([session = weak_from_this()] {
    // It may have ended in the same turn.
    const std::shared_ptr<Session> self = session.lock();
    if (!self) return;
    self->wake_scheduled_ = false;
    // Not waiting: it is writing, and looks again before it waits.
    self->news_ = true;
    if (self->idling_ && self->waiting_) self->connection_->Interrupt();
  });
}

}  // namespace posthorn::imap_gateway
