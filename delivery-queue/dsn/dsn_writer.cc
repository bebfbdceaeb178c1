#include "delivery-queue/dsn/dsn_writer.h"

#include "delivery-queue/dsn/report.h"
#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {
namespace {

using Action = ReportRequest::Action;
using queue::v1::Entry;
using queue::v1::StoredEntry;

constexpr uint64_t kMaxReturned = 1U << 20;  // larger messages come back as their header section
constexpr size_t kMaxHeader = 65536;

// The same failures make the same id; failures at another time are another report. Of a delay
// there is one report.
base::MessageId IdOf(const ReportRequest& request) {
  const bool delayed = request.action == Action::kDelayed;
  std::string cause = base::StrCat(delayed ? "delay " : "dsn ", request.entry->part());
  if (!delayed)
    for (const int index : request.recipients) base::StrAppend(cause, " ", index);
  const auto parent = base::MessageId::FromBytes(request.entry->entry().message_id());
  return base::MessageId::Derive(parent.value_or(base::MessageId()), cause);
}

std::vector<Report::Recipient> RecipientsOf(const ReportRequest& request) {
  std::vector<Report::Recipient> recipients;
  for (const int index : request.recipients) {
    const queue::v1::Recipient& recipient = request.entry->entry().recipients(index);
    const queue::v1::RecipientState& state = request.entry->states(index);
    if (!WantsReport(recipient.notify(), request.action)) continue;
    Report::Recipient out;
    out.address = recipient.address();
    out.orcpt = recipient.orcpt();
    out.status = state.status().empty() ? "5.0.0" : state.status();
    out.diagnostic = state.last_reply();
    if (state.replied()) out.remote_host = state.host();
    out.attempts = state.attempts();
    recipients.push_back(std::move(out));
  }
  return recipients;
}

}  // namespace

bool WantsReport(std::string_view notify, Action action) {
  if (notify.empty()) return true;
  const std::string_view wanted = action == Action::kDelayed ? "DELAY" : "FAILURE";
  for (const std::string_view word : base::Split(notify, ','))
    if (base::EqualsIgnoreCase(base::Trim(word), wanted)) return true;
  return false;
}

net::Task<absl::StatusOr<std::string>> DsnWriter::ReadOriginal(const StoredEntry& stored,
                                                               bool whole) {
  std::string bytes = stored.entry().prefix();
  const std::unique_ptr<BodyStream> body =
      bodies_.Open(stored.entry().blob().key(), stored.entry().blob().size());
  const size_t most = whole ? SIZE_MAX : stored.entry().prefix().size() + kMaxHeader;
  while (bytes.size() < most && (whole || bytes.find("\r\n\r\n") == std::string::npos)) {
    absl::StatusOr<std::string> chunk = co_await body->Next();
    // A body that is gone for good must not keep the sender from hearing of it.
    if (absl::IsNotFound(chunk.status()) || absl::IsDataLoss(chunk.status())) break;
    if (!chunk.ok()) co_return chunk.status();
    if (chunk->empty()) break;
    bytes += *chunk;
  }
  if (!whole) bytes = std::string(HeaderSection(bytes).substr(0, most));
  co_return bytes;
}

net::Task<absl::StatusOr<std::optional<Entry>>> DsnWriter::Write(ReportRequest request) {
  const StoredEntry& stored = *request.entry;
  const Entry& parent = stored.entry();
  Report report;
  report.recipients = RecipientsOf(request);
  if (report.recipients.empty()) co_return std::optional<Entry>();
  const base::MessageId id = IdOf(request);
  // [RFC3461 6.2] of a delayed message only the header.
  const bool whole = request.action == Action::kFailed &&
                     base::EqualsIgnoreCase(parent.ret(), "FULL") &&
                     parent.blob().size() <= kMaxReturned;
  CO_ASSIGN_OR_RETURN(const std::string original, co_await ReadOriginal(stored, whole));
  report.action = request.action;
  report.retry_until_ms = request.retry_until_ms;
  report.hostname = hostname_();
  report.message_id = id.ToString();
  report.to = parent.sender();
  report.envid = parent.envid();
  report.now_ms = base::WallMillis();
  report.arrived_ms = parent.received_ms();
  report.part = whole ? Report::Part::kMessage : Report::Part::kHeaders;
  report.original = original;
  ReportText text = BuildReport(report);
  Entry entry;
  entry.set_smtputf8(text.smtputf8);
  entry.set_body_8bit(text.body_8bit);
  CO_ASSIGN_OR_RETURN(*entry.mutable_blob(),
                      co_await blobs_.Put(std::move(text.bytes), std::string(id.bytes())));
  entry.set_message_id(std::string(id.bytes()));
  entry.add_recipients()->set_address(parent.sender());
  // [RFC3461 6.1] the null reverse-path: nobody answers a report.
  entry.set_received_ms(base::WallMillis());
  entry.set_parent_id(parent.message_id());
  entry.set_hops(parent.hops() + 1);
  entry.set_subject(std::string(SubjectOf(request.action)));
  co_return std::optional<Entry>(std::move(entry));
}

}  // namespace posthorn::delivery_queue
