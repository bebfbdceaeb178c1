#pragma once

// Bounces and delay notices: gathers what a report needs, stores it, and makes the entry that
// carries it to the sender.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/remote/body.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::delivery_queue {

// Where new message bytes go.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // Durable when it returns. `message_id`: 16 bytes.
  virtual net::Task<absl::StatusOr<common::v1::BlobId>> Put(std::string bytes,
                                                            std::string message_id) = 0;
};

class DsnWriter : public ReportWriter {
 public:
  // `hostname` returns ours.
  DsnWriter(Bodies& bodies, BlobWriter& blobs, std::function<std::string()> hostname)
      : bodies_(bodies), blobs_(blobs), hostname_(std::move(hostname)) {}
  net::Task<absl::StatusOr<std::optional<queue::v1::Entry>>> Write(ReportRequest request) override;

 private:
  net::Task<absl::StatusOr<std::string>> ReadOriginal(const queue::v1::StoredEntry& stored,
                                                      bool whole);

  Bodies& bodies_;
  BlobWriter& blobs_;
  std::function<std::string()> hostname_;
};

// [RFC3461 4.1] whether NOTIFY asks for a report of this; not given means yes.
bool WantsReport(std::string_view notify, ReportRequest::Action action);

}  // namespace posthorn::delivery_queue
