#pragma once

// The streaming calls of FakeStore.

#include <deque>
#include <map>
#include <string>

#include "imap-gateway/testing/fake_store.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::imap_gateway {

struct FakeStore::SyncCall : rpc::RawCall {
  explicit SyncCall(FakeStore& store);
  ~SyncCall() override;
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override;
  void WritesDone() override;
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override;

  void Delta(uint64_t mailbox, const store::v1::ViewDelta& delta);
  void Closed(uint64_t mailbox, store::v1::ViewClosed::Reason reason);
  void Account(const store::v1::AccountState& state);
  void Break();

 private:
  void Open(const store::v1::OpenView& open);
  void Snapshot(uint64_t view, const Mailbox& mailbox, uint64_t known);
  void OpenAccount(const store::v1::OpenAccount& open);
  store::v1::SyncReply& News();

  FakeStore& store_;
  net::Signal wake_;
  std::deque<store::v1::SyncReply> news_;
  std::deque<store::v1::SyncReply> chunks_;
  std::map<uint64_t, uint64_t> views_;  // view → mailbox
  std::set<uint64_t> accounts_;
  uint64_t last_epoch_ = 0;
  bool broken_ = false;
};

// ReadMessages and ReadDigests: one request, replies made at once.
struct FakeStore::ReadCall : rpc::RawCall {
  enum class Kind { kMessages, kDigests };
  ReadCall(FakeStore& store, Kind kind) : store_(store), kind_(kind) {}
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override;
  void WritesDone() override {}
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override;

 private:
  void Messages(const store::v1::ReadMessagesRequest& request);
  void Digests(const store::v1::ReadDigestsRequest& request);

  FakeStore& store_;
  Kind kind_;
  std::deque<store::v1::ReadMessagesReply> messages_;
  std::deque<store::v1::ReadDigestsReply> digests_;
};

struct FakeStore::SearchCall : rpc::RawCall {
  explicit SearchCall(FakeStore& store) : store_(store) { ++store_.searches; }
  ~SearchCall() override { --store_.searches; }
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override;
  void WritesDone() override {}
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override;

 private:
  FakeStore& store_;
  std::deque<store::v1::SearchTextReply> replies_;
};

struct FakeStore::PutCall : rpc::RawCall {
  explicit PutCall(FakeStore& store) : store_(store) {}
  net::Task<absl::Status> Write(const google::protobuf::MessageLite& message) override;
  void WritesDone() override {}
  net::Task<absl::StatusOr<bool>> Read(google::protobuf::MessageLite& into) override;

 private:
  FakeStore& store_;
  std::string bytes_;
};

}  // namespace posthorn::imap_gateway
