#include "delivery-queue/service/store_calls.h"

#include "lib/base/status_macros.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::delivery_queue {

net::Task<absl::StatusOr<store::v1::DeliverReply>> StoreDeliverer::Deliver(store::v1::DeliverRequest request) {
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(60);
  return store_.Call(rpc::store::kMailboxesDeliver, "deliver", rpc::Flow::kHoldBack, std::move(options),
                     std::move(request));
}

net::Task<absl::StatusOr<store::v1::ResolveReply>> StoreDirectory::Resolve(std::string address) {
  store::v1::ResolveRequest request;
  request.set_address(std::move(address));
  rpc::CallOptions options;
  options.timeout = std::chrono::seconds(10);
  return store_.Call(rpc::store::kDirectoryResolve, "directory", rpc::Flow::kFree, std::move(options),
                     std::move(request));
}

namespace {

// One life of the stream: answers until it ends.
net::Task<absl::Status> AttendOnce(rpc::Client& store, MailQueue& queue, std::string journal_id,
                                   std::string description) {
  store::v1::RegisterJournalRequest request;
  request.set_journal_id(journal_id);
  request.set_description(std::move(description));
  rpc::CallOptions options;
  const auto registered = co_await store.Call(rpc::store::kJournalsRegister, options, std::move(request));
  if (!registered.ok()) co_return registered.status();
  options.timeout = std::chrono::hours(24);
  const std::unique_ptr<rpc::RawCall> call =
      store.Start(rpc::store::kJournalsAttend.path, "journal", rpc::Flow::kFree, std::move(options));
  store::v1::JournalAnswer answer;
  answer.set_journal_id(journal_id);
  CO_RETURN_IF_ERROR(co_await call->Write(answer));
  for (;;) {
    store::v1::JournalQuestion question;
    CO_ASSIGN_OR_RETURN(const bool more, co_await call->Read(question));
    if (!more) co_return absl::OkStatus();
    answer.set_question(question.question());
    answer.clear_held();
    for (const uint64_t blob : queue.Held({question.keys().begin(), question.keys().end()}))
      answer.add_held(blob);
    CO_RETURN_IF_ERROR(co_await call->Write(answer));
  }
}

}  // namespace

net::Task<void> AttendCollector(net::Loop& loop, rpc::Client& store, MailQueue& queue, std::string journal_id,
                                std::string description) {
  for (;;) {
    const absl::Status ended = co_await AttendOnce(store, queue, journal_id, description);
    if (absl::IsCancelled(ended)) co_return;
    co_await net::Sleep(loop, std::chrono::seconds(1));
  }
}

}  // namespace posthorn::delivery_queue
