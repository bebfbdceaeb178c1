#pragma once

// What an S3 server says, and what it means. Pure.

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store-service/blob/s3/s3_client.h"

namespace posthorn::store_service {

struct S3Outcome {
  absl::Status status;
  bool again = false;    // worth another try
  bool refused = false;  // a person must act
};
// `complete`: an answer came, as long as it said it would be. `http`: its status, 0 when none came.
S3Outcome JudgeAnswer(bool complete, long http, std::string_view text);

// The objects of a ListObjectsV2 answer, names without `prefix`. kUnavailable: it is none.
absl::StatusOr<S3Listing> ParseListing(std::string_view xml, std::string_view prefix);

}  // namespace posthorn::store_service
