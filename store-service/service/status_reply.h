#pragma once

// What the rows of the replicas say, for `posthorn status`, and in words what is wrong with it.
// Pure.

#include <functional>
#include <string>

#include "posthorn/store/v1/objects.pb.h"
#include "store-service/blob/blob_store.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

// `alive`: whether a replica was heard of lately.
void DescribeReplicas(const ClusterRows& rows, const std::function<bool(const std::string&)>& alive,
                      store::v1::StoreStatusReply& reply);
void DescribeBlobs(const BlobPlace& place, store::v1::StoreStatusReply& reply);
void DescribeDatabase(const DatabaseServer& server, store::v1::StoreStatusReply& reply);

}  // namespace posthorn::store_service
