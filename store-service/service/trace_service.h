#pragma once

#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/events/event_store.h"

namespace posthorn::store_service {

// posthorn.store.v1.Trace.
class TraceService {
 public:
  // Both outlive this and the server's handlers. Searches block threads of `files`.
  TraceService(EventStore& events, net::BlockingPool& files) : events_(events), files_(files) {}
  void Register(rpc::Server& server);

 private:
  net::Task<absl::StatusOr<store::v1::RecordEventsReply>> Record(
      store::v1::RecordEventsRequest request);
  net::Task<absl::StatusOr<store::v1::SearchEventsReply>> Search(
      store::v1::SearchEventsRequest request);

  EventStore& events_;
  net::BlockingPool& files_;
};

}  // namespace posthorn::store_service
