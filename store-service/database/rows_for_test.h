#pragma once

// Rows as tests of any engine write and read them.

#include <gtest/gtest.h>

#include <vector>

#include "store-service/database/database.h"

namespace posthorn::store_service {

inline MessageRow TestMessage(AccountId account, MailboxId mailbox, Uid uid, ModSeq modseq) {
  MessageRow row;
  row.account = account;
  row.mailbox = mailbox;
  row.columns.uid = uid;
  row.columns.modseq = modseq;
  row.columns.size = 1000 + uid;
  row.columns.blob_key = 7000 + uid;
  row.columns.email_id = uid;
  row.columns.thread_id = uid;
  row.columns.keywords = {uint64_t{1} << 63, 5};
  row.columns.zone_minutes = -330;
  row.own_prefix = "Return-Path: <a@example.org>\r\n";
  row.blob_size = 900;
  return row;
}

inline std::vector<MessageColumns> Columns(Database& database, AccountId account, MailboxId mailbox,
                                           ModSeq since) {
  std::vector<MessageColumns> rows;
  auto snapshot = database.OpenSnapshot();
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_TRUE((*snapshot)
                  ->ReadColumns(account, mailbox, since,
                                [&](const MessageColumns& row) { rows.push_back(row); })
                  .ok());
  return rows;
}

}  // namespace posthorn::store_service
