#pragma once

#include <string>

#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::cli {

// The trace as a story for each message: when, how long after the message came, who, what. Pure.
std::string Story(const admin::v1::TraceReply& trace);

}  // namespace posthorn::cli
