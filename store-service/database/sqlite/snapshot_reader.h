#pragma once

#include <memory>

#include "lib/sqlite/connection.h"
#include "store-service/database/database.h"

namespace posthorn::store_service {

// A read transaction on a connection of its own, given back to `keep` at the end.
class SnapshotReader final : public ReadSnapshot {
 public:
  using GiveBack = std::function<void(std::unique_ptr<sqlite::Connection>)>;
  static absl::StatusOr<std::unique_ptr<ReadSnapshot>> Begin(
      std::unique_ptr<sqlite::Connection> connection, GiveBack give_back);
  ~SnapshotReader() override;

  absl::StatusOr<AccountImage> LoadAccount(AccountId account) override;
  absl::StatusOr<std::optional<MailboxRow>> FindMailbox(AccountId account,
                                                        MailboxId mailbox) override;
  absl::StatusOr<std::vector<KeywordRow>> Keywords(AccountId account, MailboxId mailbox) override;
  absl::Status ReadColumns(AccountId account, MailboxId mailbox, ModSeq since,
                           const std::function<void(const MessageColumns&)>& row) override;
  absl::Status ReadExpunged(AccountId account, MailboxId mailbox, ModSeq since,
                            const std::function<void(Uid)>& gone) override;
  absl::StatusOr<std::optional<DeliveryRow>> FindDelivery(const DeliveryKey& key) override;
  absl::StatusOr<std::optional<MessagePlace>> FindPlace(AccountId account, MailboxId mailbox,
                                                        Uid uid) override;
  absl::Status ReadPlaces(AccountId account, MailboxId mailbox, UidSpan uids,
                          const std::function<bool(MessagePlace)>& place) override;
  absl::Status ReadDigests(AccountId account, MailboxId mailbox, UidSpan uids,
                           const std::function<bool(const DigestEntry&)>& entry) override;
  absl::StatusOr<ClusterRows> ReadCluster() override;
  absl::StatusOr<std::vector<AccountRow>> Accounts(AccountId after, uint32_t limit) override;
  absl::StatusOr<MailboxTotals> Totals(AccountId account, MailboxId mailbox) override;
  absl::StatusOr<std::vector<SuspectRow>> Suspects() override;
  absl::StatusOr<std::vector<uint64_t>> Condemned(int64_t before_ms) override;
  absl::Status ReadReferences(const std::function<void(uint64_t blob_key)>& blob) override;

 private:
  SnapshotReader(std::unique_ptr<sqlite::Connection> connection, GiveBack give_back,
                 sqlite::Transaction transaction);
  absl::Status LoadLists(AccountId account, AccountImage& image);

  std::unique_ptr<sqlite::Connection> connection_;
  GiveBack give_back_;
  std::optional<sqlite::Transaction> transaction_;
};

}  // namespace posthorn::store_service
