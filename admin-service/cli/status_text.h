#pragma once

// What `posthorn status` prints: first what is wrong, in words, then who is there and what there
// is. Pure. At most 100 columns; long names and addresses are cut in the middle (--output json has
// all).

#include <string>

#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::cli {

std::string StatusText(const admin::v1::StatusReply& reply);
// How many processes are on their way, which is nothing wrong.
size_t Starting(const admin::v1::StatusReply& reply);

}  // namespace posthorn::cli
