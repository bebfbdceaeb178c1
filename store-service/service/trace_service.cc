#include "store-service/service/trace_service.h"

#include <algorithm>
#include <iterator>

#include "lib/base/status_macros.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr uint32_t kMostEvents = 10000;

EventQuery ToQuery(const v1::SearchEventsRequest& request) {
  return {.message_id = request.message_id(),
          .address = request.address(),
          .text = request.text(),
          .from_ms = request.from_ms(),
          .to_ms = request.to_ms(),
          .limit = std::min(request.limit(), kMostEvents)};
}

}  // namespace

void TraceService::Register(rpc::Server& server) {
  server.Handle(rpc::store::kTraceRecord, Everybody(),
                std::function([this](const rpc::CallContext&, v1::RecordEventsRequest request) {
                  return Record(std::move(request));
                }));
  server.Handle(rpc::store::kTraceSearch, {kAdmin},
                std::function([this](const rpc::CallContext&, v1::SearchEventsRequest request) {
                  return Search(std::move(request));
                }));
}

net::Task<absl::StatusOr<v1::RecordEventsReply>> TraceService::Record(
    v1::RecordEventsRequest request) {
  auto& events = *request.mutable_events();
  events_.Record({std::make_move_iterator(events.begin()), std::make_move_iterator(events.end())});
  co_return v1::RecordEventsReply();
}

net::Task<absl::StatusOr<v1::SearchEventsReply>> TraceService::Search(
    v1::SearchEventsRequest request) {
  CO_ASSIGN_OR_RETURN(EventResult result, co_await files_.Run([this, query = ToQuery(request)] {
    return events_.Search(query);
  }));
  v1::SearchEventsReply reply;
  for (common::v1::Event& event : result.events) *reply.add_events() = std::move(event);
  reply.set_truncated(result.truncated);
  co_return reply;
}

}  // namespace posthorn::store_service
