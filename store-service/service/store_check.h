#pragma once

// `posthorn store check`: compares everything with everything. Blocks for as long as all bytes take
// to read.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/ids.h"
#include "store-service/blob/blob_store.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

struct CheckFindings {
  uint64_t messages = 0;
  uint64_t blobs = 0;
  uint64_t unreferenced = 0;  // blobs without a row: young ones are usual
  uint64_t problems = 0;
  uint64_t unreadable = 0;  // messages whose bytes are missing or damaged
  // Accounts whose counters differ from their messages; a recount mends them.
  std::vector<base::AccountId> miscounted;
};

enum class CheckSay { kProgress, kProblem };

class StoreCheck {
 public:
  using Say = std::function<void(CheckSay, std::string line)>;
  // `say` is called on the checking thread. Stops early when `stop` becomes true. All outlive this.
  StoreCheck(Database& database, BlobStore& blobs, Say say, const std::atomic<bool>& stop)
      : database_(database), blobs_(blobs), say_(std::move(say)), stop_(stop) {}
  // An error only when the database cannot be read at all; findings so far are in findings().
  absl::Status Run();
  const CheckFindings& findings() const { return findings_; }

 private:
  absl::Status ReadBlobs();
  absl::Status CheckAccounts(ReadSnapshot& snapshot);
  absl::Status CheckAccount(ReadSnapshot& snapshot, const AccountRow& row);
  absl::Status CheckReferences(ReadSnapshot& snapshot);
  absl::Status NameUnreadable(ReadSnapshot& snapshot);
  absl::Status NameUnreadable(ReadSnapshot& snapshot, const MailboxRow& mailbox);
  void Problem(std::string line);

  Database& database_;
  BlobStore& blobs_;
  Say say_;
  const std::atomic<bool>& stop_;
  CheckFindings findings_;
  std::vector<uint64_t> keys_;  // of all blobs, sorted
  std::vector<uint64_t> bad_;   // damaged or missing ones, sorted before messages are named
};

}  // namespace posthorn::store_service
