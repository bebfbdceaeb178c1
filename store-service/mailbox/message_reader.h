#pragma once

// Reads parts of messages: prefix, then blob. Blocks: for readers' threads.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "store-service/blob/blob_store.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

class MessageReader {
 public:
  static constexpr size_t kChunk = 64 * 1024;
  // About so much is read in one go; what is in memory for one caller.
  static constexpr size_t kRound = 256 * 1024;

  // `database` and `blobs` outlive the reader.
  MessageReader(Database& database, BlobStore& blobs, AccountId account,
                v1::ReadMessagesRequest request);
  ~MessageReader();
  // The next replies, in order; empty when all is read. One thread at a time. Lost or damaged bytes
  // are a reply's problem; kUnavailable: they cannot be had now.
  absl::StatusOr<std::vector<v1::ReadMessagesReply>> Next();

 private:
  struct Open;
  absl::Status Begin(ReadSnapshot& snapshot);
  absl::StatusOr<std::string> Bytes(size_t most);
  uint64_t HeaderSize();
  absl::Status Judge(const absl::Status& status);
  absl::Status ReadChunk(std::vector<v1::ReadMessagesReply>& replies, size_t& bytes);

  Database* database_;
  BlobStore* blobs_;
  const AccountId account_;
  const v1::ReadMessagesRequest request_;
  int part_ = 0;
  std::unique_ptr<Open> open_;  // the part that is being read
};

// The whole message, for search. kNotFound: gone.
absl::StatusOr<std::string> ReadWhole(BlobStore& blobs, const MessagePlace& place);

}  // namespace posthorn::store_service
