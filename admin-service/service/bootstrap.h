#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace posthorn::admin_service {

// What an empty installation begins with: listeners on the standard ports, a self-signed
// certificate for `hostnames`, the loopback networks, and administrator "admin" with `password`.
absl::StatusOr<std::vector<std::shared_ptr<const google::protobuf::Message>>> FirstObjects(
    const std::vector<std::string>& hostnames, const std::string& password);

}  // namespace posthorn::admin_service
