#pragma once

// A store in memory with one account ("ann", number 7, ticket "T7"), for session tests: the real
// contract, committed at once, with a Sync stream that sends snapshots in small chunks behind the
// deltas. It counts what is asked of it.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/protocol/number_set.h"
#include "lib/net/loop.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::imap_gateway {

class FakeStore : public Store {
 public:
  struct Message {
    uint64_t modseq = 0;
    uint32_t flags = 0;
    uint64_t keywords = 0;  // bits into Mailbox.keyword_names
    int64_t date_ms = 0;
    int32_t zone = 0;
    std::string prefix;
    std::string blob;
    std::string text() const { return prefix + blob; }
  };
  struct Mailbox {
    uint64_t id = 0;
    std::string name;
    std::string special_use;
    uint32_t uid_validity = 1;
    uint32_t uid_next = 1;
    uint64_t modseq = 1;
    std::map<uint32_t, Message> messages;
    std::vector<std::string> keyword_names;
    std::vector<std::pair<uint64_t, uint32_t>> expunged;  // modseq, uid
  };

  explicit FakeStore(net::Loop& loop);
  ~FakeStore() override;

  // ---- for tests ----
  Mailbox& mailbox(const std::string& name) { return mailboxes_.at(name); }
  Mailbox& AddMailbox(const std::string& name, const std::string& special_use = "");
  // Delivers; returns the uid.
  uint32_t AddMessage(const std::string& mailbox, std::string blob, uint32_t flags = 0,
                      std::string prefix = "");
  void ExpungeNow(const std::string& mailbox, uint32_t uid);
  void SetFlagsNow(const std::string& mailbox, uint32_t uid, uint32_t flags);
  // Ends every Sync stream; new ones fail while `down`.
  void BreakStreams();
  void ForgetHistory() { keeps_history = false; }
  // Unary calls, reads, Puts and Sync requests (credits not counted).
  uint64_t asked = 0;
  bool down = false;            // writes and reads fail kUnavailable, streams end
  bool writes_unknown = false;  // writes fail kUnknown
  bool keeps_history = true;    // false: every Open gets a full snapshot
  bool endless_search = false;  // SearchText finds nothing, for ever
  int searches = 0;             // open SearchText calls
  uint64_t body_bytes = 0;      // given out by ReadMessages
  size_t rows_per_chunk = 3;
  size_t bytes_per_chunk = 11;
  uint64_t quota = 0;
  // Random waits before and after commits and between replies, from this seed; 0: none.
  void Jitter(uint32_t seed);

  Reply<store::v1::MailboxReply> CreateMailbox(std::string ticket,
                                               store::v1::CreateMailboxRequest r) override;
  Reply<store::v1::MailboxReply> DeleteMailbox(std::string ticket,
                                               store::v1::DeleteMailboxRequest r) override;
  Reply<store::v1::MailboxReply> RenameMailbox(std::string ticket,
                                               store::v1::RenameMailboxRequest r) override;
  Reply<store::v1::MailboxReply> Subscribe(std::string ticket,
                                           store::v1::SubscribeRequest r) override;
  Reply<store::v1::AppendReply> Append(std::string ticket, store::v1::AppendRequest r) override;
  Reply<store::v1::StoreFlagsReply> StoreFlags(std::string ticket,
                                               store::v1::StoreFlagsRequest r) override;
  Reply<store::v1::ExpungeReply> Expunge(std::string ticket, store::v1::ExpungeRequest r) override;
  Reply<store::v1::CopyReply> Copy(std::string ticket, store::v1::CopyRequest r) override;
  std::unique_ptr<rpc::RawCall> ReadMessages(std::string ticket) override;
  std::unique_ptr<rpc::RawCall> ReadDigests(std::string ticket) override;
  std::unique_ptr<rpc::RawCall> SearchText(std::string ticket) override;
  std::unique_ptr<rpc::RawCall> Put(std::string ticket) override;
  std::unique_ptr<rpc::RawCall> Attach(cluster::Place place) override;
  cluster::Place PlaceOf(uint64_t) const override { return 1; }
  net::Signal& changed() override { return changed_; }

  struct SyncCall;
  struct ReadCall;
  struct PutCall;
  struct SearchCall;

 private:
  friend struct SyncCall;
  friend struct ReadCall;
  friend struct PutCall;
  friend struct SearchCall;
  net::Task<absl::Status> Begin(const std::string& ticket);
  net::Task<void> Pause();
  Mailbox* ById(uint64_t id);
  uint64_t Commit(Mailbox& mailbox);
  uint64_t KeywordBits(Mailbox& mailbox,
                       const google::protobuf::RepeatedPtrField<std::string>& names,
                       store::v1::ViewDelta& delta);
  void Publish(Mailbox& mailbox, store::v1::ViewDelta delta);
  void PublishAccount(const Mailbox* changed, uint64_t deleted, bool subscriptions);
  void FillState(const Mailbox& mailbox, store::v1::MailboxState& state) const;
  void FillRow(uint32_t uid, const Message& message, store::v1::Rows& rows) const;
  uint32_t Insert(Mailbox& mailbox, Message message, store::v1::ViewDelta& delta);
  store::v1::SearchTextReply FindText(const store::v1::SearchTextRequest& r);
  store::v1::MailboxReply Answer(const Mailbox& mailbox);

  net::Loop& loop_;
  net::Signal changed_{loop_};
  std::map<std::string, Mailbox> mailboxes_;
  std::set<std::string> subscriptions_;
  std::map<uint64_t, std::string> blobs_;
  std::set<SyncCall*> streams_;
  uint64_t last_id_ = 0;
  uint64_t modseq_ = 1;
  bool jitter_ = false;
  std::mt19937 random_;
};

}  // namespace posthorn::imap_gateway
