#include "delivery-queue/service/store_calls.h"

#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/cluster/stores.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {

net::Task<absl::StatusOr<store::v1::DeliverReply>> StoreDeliverer::Deliver(
    store::v1::DeliverRequest request) {
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(60);
  if (request.deliveries_size() > 0) options.account = request.deliveries(0).account();
  return store_.Call(rpc::store::kMailboxesDeliver, "deliver", rpc::Flow::kHoldBack,
                     std::move(options), std::move(request));
}

uint32_t StoreDeliverer::PlaceOf(uint64_t account) const { return store_.PlaceOf(account); }

net::Task<absl::StatusOr<store::v1::ResolveReply>> StoreDirectory::Resolve(std::string address) {
  store::v1::ResolveRequest request;
  request.set_address(std::move(address));
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(10);
  return store_.Call(rpc::store::kDirectoryResolve, "directory", rpc::Flow::kFree,
                     std::move(options), std::move(request));
}

namespace {

constexpr size_t kChunk = 65536;

// The call begins with the first Next: a letter may wait for its turn.
class StoreBody : public BodyStream {
 public:
  StoreBody(rpc::Client& store, uint64_t key, uint64_t size) : store_(store) {
    request_.mutable_blob()->set_key(key);
    request_.mutable_blob()->set_size(size);
  }
  net::Task<absl::StatusOr<std::string>> Next() override {
    if (!call_) {
      rpc::CallOptions options;
      options.timeout = std::chrono::hours(2);  // slow peers; a dead store ends the call at once
      call_ =
          store_.Start(rpc::store::kBlobsRead.path, "read", rpc::Flow::kFree, std::move(options));
      CO_RETURN_IF_ERROR(co_await call_->Write(request_));
      call_->WritesDone();
    }
    store::v1::ReadBlobReply reply;
    do {
      CO_ASSIGN_OR_RETURN(const bool more, co_await call_->Read(reply));
      if (!more) co_return std::string();
    } while (reply.chunk().empty());
    co_return std::move(*reply.mutable_chunk());
  }

 private:
  rpc::Client& store_;
  store::v1::ReadBlobRequest request_;
  std::unique_ptr<rpc::RawCall> call_;
};

}  // namespace

std::unique_ptr<BodyStream> StoreBlobs::Open(uint64_t blob_key, uint64_t blob_size) {
  return std::make_unique<StoreBody>(store_, blob_key, blob_size);
}

net::Task<absl::StatusOr<common::v1::BlobId>> StoreBlobs::Put(std::string bytes,
                                                              std::string message_id) {
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(60);
  const std::unique_ptr<rpc::RawCall> call =
      store_.Start(rpc::store::kBlobsPut.path, "put", rpc::Flow::kHoldBack, std::move(options));
  store::v1::PutRequest request;
  request.set_size_hint(bytes.size());
  request.set_message_id(std::move(message_id));
  for (size_t at = 0; at < bytes.size(); at += kChunk) {
    request.set_chunk(bytes.substr(at, kChunk));
    CO_RETURN_IF_ERROR(co_await call->Write(request));
    request.clear_message_id();
    request.clear_size_hint();
  }
  call->WritesDone();
  store::v1::PutReply reply;
  CO_ASSIGN_OR_RETURN(const bool answered, co_await call->Read(reply));
  if (!answered) co_return base::Internal("the store answered nothing");
  co_return reply.blob();
}

namespace {

// One life of the stream: answers until it ends.
net::Task<absl::Status> AttendOnce(rpc::Client& store, MailQueue& queue, std::string journal_id,
                                   std::string description) {
  store::v1::RegisterJournalRequest request;
  request.set_journal_id(journal_id);
  request.set_description(std::move(description));
  rpc::CallOptions options;
  const auto registered =
      co_await store.Call(rpc::store::kJournalsRegister, options, std::move(request));
  if (!registered.ok()) co_return registered.status();
  options.timeout = std::chrono::hours(24);
  options.account = base::kLanes;  // lane 0: its owner collects
  const std::unique_ptr<rpc::RawCall> call = store.Start(
      rpc::store::kJournalsAttend.path, "journal", rpc::Flow::kFree, std::move(options));
  store::v1::JournalAnswer answer;
  answer.set_journal_id(journal_id);
  CO_RETURN_IF_ERROR(co_await call->Write(answer));
  for (;;) {
    store::v1::JournalQuestion question;
    CO_ASSIGN_OR_RETURN(const bool more, co_await call->Read(question));
    if (!more) co_return absl::OkStatus();
    answer.set_question(question.question());
    answer.clear_held();
    answer.set_oldest_unfinished(queue.Oldest());
    for (const uint64_t blob : queue.Held({question.keys().begin(), question.keys().end()}))
      answer.add_held(blob);
    CO_RETURN_IF_ERROR(co_await call->Write(answer));
  }
}

}  // namespace

net::Task<void> AttendCollector(net::Loop& loop, rpc::Client& store, MailQueue& queue,
                                std::string journal_id, std::string description) {
  for (;;) {
    const absl::Status ended = co_await AttendOnce(store, queue, journal_id, description);
    if (absl::IsCancelled(ended)) co_return;
    co_await net::Sleep(loop, std::chrono::seconds(1));
  }
}

}  // namespace posthorn::delivery_queue
