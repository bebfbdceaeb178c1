#include "smtp-gateway/message/intake.h"

#include "lib/base/strings.h"

namespace posthorn::smtp_gateway {

using common::v1::Verdict;

MessageIntake::MessageIntake(Backend& backend, net::Loop& loop, std::string message_id, uint64_t size_hint,
                             std::optional<Scanning> scanning)
    : backend_(backend),
      loop_(loop),
      message_id_(std::move(message_id)),
      size_hint_(size_hint),
      scanning_(std::move(scanning)) {}

net::Task<void> MessageIntake::Drain() {
  if (!upload_) {
    upload_ = backend_.StartUpload(message_id_, size_hint_, trace_);
    if (scanning_) scan_ = backend_.StartScan(scanning_->envelope, scanning_->envelope_verdict, trace_);
  }
  std::string_view rest = *buffer_;
  while (!rest.empty()) {
    const std::string_view chunk = rest.substr(0, kChunk);
    rest.remove_prefix(chunk.size());
    if (upload_status_.ok()) upload_status_ = co_await upload_->Write(chunk);
    if (scan_ && scan_status_.ok()) scan_status_ = co_await scan_->Write(chunk);
  }
  buffer_->clear();
}

net::Task<MessageIntake::Result> MessageIntake::Finish() {
  if (!upload_) co_return co_await FinishSmall();
  co_await Drain();
  Result result{base::Internal("not stored"), base::Precondition("not scored")};
  net::Promise<absl::StatusOr<Verdict>> scanned(loop_);
  const bool scanning = scan_ != nullptr && scan_status_.ok();
  // Both finish at the same time: the scorer thinks while the store syncs.
  if (scanning) loop_.Spawn("smtp.scan", FinishScan(std::move(scan_), scanned));
  if (upload_status_.ok()) {
    result.stored = co_await upload_->Finish();
  } else {
    result.stored = upload_status_;
  }
  if (scanning) {
    result.verdict = co_await scanned.Get();
  } else if (scanning_) {
    result.verdict = scan_status_;
  }
  co_return result;
}

net::Task<MessageIntake::Result> MessageIntake::FinishSmall() {
  Result result{base::Internal("not stored"), base::Precondition("not scored")};
  net::Promise<absl::StatusOr<Verdict>> scanned(loop_);
  if (scanning_) loop_.Spawn("smtp.scan", ScanWhole(&backend_, *std::move(scanning_), buffer_, trace_, scanned));
  result.stored = co_await backend_.PutWhole(message_id_, buffer_, trace_);
  if (scanning_) result.verdict = co_await scanned.Get();
  co_return result;
}

net::Task<void> MessageIntake::ScanWhole(Backend* backend, Scanning scanning, std::shared_ptr<const std::string> bytes,
                                         rpc::TraceContext trace,
                                         net::Promise<absl::StatusOr<Verdict>> promise) {
  promise.Set(co_await backend->ScanWhole(std::move(scanning.envelope), std::move(scanning.envelope_verdict),
                                          std::move(bytes), trace));
}

net::Task<void> MessageIntake::FinishScan(std::unique_ptr<Scan> scan, net::Promise<absl::StatusOr<Verdict>> promise) {
  promise.Set(co_await scan->Finish());
}

}  // namespace posthorn::smtp_gateway
