#pragma once

#include <functional>
#include <memory>

#include "store-service/database/database.h"
#include "store-service/database/mysql/connection.h"

namespace posthorn::store_service {

// A snapshot transaction on a connection of its own, given back to `keep` at the end. Long results
// are read in pages, so that neither memory nor a time-out bounds a mailbox.
class MysqlSnapshot final : public ReadSnapshot {
 public:
  using GiveBack = std::function<void(std::unique_ptr<mysql::Connection>)>;
  static absl::StatusOr<std::unique_ptr<ReadSnapshot>> Begin(
      std::unique_ptr<mysql::Connection> connection, GiveBack give_back);
  ~MysqlSnapshot() override;

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
  absl::Status ReadReferences(const std::function<void(uint64_t blob_key)>& blob) override;
  absl::StatusOr<std::vector<SuspectRow>> Suspects() override;
  absl::StatusOr<std::vector<uint64_t>> Condemned(int64_t before_ms) override;

 private:
  MysqlSnapshot(std::unique_ptr<mysql::Connection> connection, GiveBack give_back,
                mysql::Transaction transaction);
  absl::Status LoadLists(AccountId account, AccountImage& image);

  std::unique_ptr<mysql::Connection> connection_;
  GiveBack give_back_;
  std::optional<mysql::Transaction> transaction_;
};

}  // namespace posthorn::store_service
