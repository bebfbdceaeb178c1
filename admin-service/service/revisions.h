#pragma once

// What changed between two revisions, from the store's history.

#include <memory>
#include <string>
#include <vector>

#include "admin-service/service/object_store.h"
#include "lib/config/schema.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::admin_service {

// One object at both ends; null: it did not exist there. Objects that are equal at both ends are
// left out.
struct Span {
  const config::Kind* kind = nullptr;
  std::string name;
  std::shared_ptr<const google::protobuf::Message> before;
  std::shared_ptr<const google::protobuf::Message> after;
};

// `from` < `to`; kNotFound when either is no revision of this installation.
net::Task<absl::StatusOr<std::vector<Span>>> ReadSpans(ObjectStore& store,
                                                       const config::Schema& schema, uint64_t from,
                                                       uint64_t to);
admin::v1::ChangeReply DescribeSpans(const std::vector<Span>& spans);
admin::v1::HistoryReply DescribeHistory(const store::v1::HistoryReply& history);

}  // namespace posthorn::admin_service
