#pragma once

// One message's bytes on their way to the store and to the scorer. Up to 64 KiB are gathered and go in one frame each;
// more streams to both as it arrives.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/net/loop.h"
#include "smtp-gateway/backend/backend.h"

namespace posthorn::smtp_gateway {

class MessageIntake {
 public:
  static constexpr size_t kChunk = 64U << 10;
  struct Scanning {
    spam::v1::Envelope envelope;
    common::v1::Verdict envelope_verdict;
  };
  // `scanning` empty: not scored.
  MessageIntake(Backend& backend, net::Loop& loop, std::string message_id, uint64_t size_hint,
                std::optional<Scanning> scanning);

  // What its calls hang on.
  void SetTrace(const rpc::TraceContext& trace) { trace_ = trace; }
  // Takes content; call Drain when full() before adding more.
  void Add(std::string_view content) { buffer_->append(content); }
  bool full() const { return buffer_->size() >= kChunk; }
  // Sends what is gathered. After an error the rest is thrown away; Finish reports it.
  net::Task<void> Drain();

  struct Result {
    absl::StatusOr<store::v1::PutReply> stored;
    // kFailedPrecondition: not scored on purpose.
    absl::StatusOr<common::v1::Verdict> verdict;
  };
  // Durable when `stored` is OK.
  net::Task<Result> Finish();

 private:
  static net::Task<void> ScanWhole(Backend* backend, Scanning scanning, std::shared_ptr<const std::string> bytes,
                                   rpc::TraceContext trace,
                                   net::Promise<absl::StatusOr<common::v1::Verdict>> promise);
  static net::Task<void> FinishScan(std::unique_ptr<Scan> scan,
                                    net::Promise<absl::StatusOr<common::v1::Verdict>> promise);
  net::Task<Result> FinishSmall();

  Backend& backend_;
  net::Loop& loop_;
  const std::string message_id_;
  const uint64_t size_hint_;
  std::optional<Scanning> scanning_;
  std::shared_ptr<std::string> buffer_ = std::make_shared<std::string>();
  std::unique_ptr<Upload> upload_;  // set once the message outgrew one chunk
  std::unique_ptr<Scan> scan_;
  rpc::TraceContext trace_;
  absl::Status upload_status_;
  absl::Status scan_status_;
};

}  // namespace posthorn::smtp_gateway
