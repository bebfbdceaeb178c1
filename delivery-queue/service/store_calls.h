#pragma once

// The queue's own calls to the store.

#include <string>

#include "delivery-queue/core/expansion.h"
#include "delivery-queue/core/mail_queue.h"
#include "delivery-queue/dsn/dsn_writer.h"
#include "delivery-queue/local/local_delivery.h"
#include "delivery-queue/remote/body.h"

namespace posthorn::cluster {
class Stores;
}
namespace posthorn::rpc {
class Client;
}

namespace posthorn::delivery_queue {

// Deliver over the request stream "deliver", held back so that batches form.
class StoreDeliverer : public Deliverer {
 public:
  explicit StoreDeliverer(cluster::Stores& store) : store_(store) {}
  net::Task<absl::StatusOr<store::v1::DeliverReply>> Deliver(
      store::v1::DeliverRequest request) override;
  uint32_t PlaceOf(uint64_t account) const override;

 private:
  cluster::Stores& store_;
};

class StoreDirectory : public Directory {
 public:
  explicit StoreDirectory(rpc::Client& store) : store_(store) {}
  net::Task<absl::StatusOr<store::v1::ResolveReply>> Resolve(std::string address) override;

 private:
  rpc::Client& store_;
};

class StoreBlobs : public Bodies, public BlobWriter {
 public:
  explicit StoreBlobs(rpc::Client& store) : store_(store) {}
  std::unique_ptr<BodyStream> Open(uint64_t blob_key, uint64_t blob_size) override;
  net::Task<absl::StatusOr<common::v1::BlobId>> Put(std::string bytes,
                                                    std::string message_id) override;

 private:
  rpc::Client& store_;
};

// Tells the store's collector that this journal exists, and answers its questions, for ever.
net::Task<void> AttendCollector(net::Loop& loop, rpc::Client& store, MailQueue& queue,
                                std::string journal_id, std::string description);

}  // namespace posthorn::delivery_queue
