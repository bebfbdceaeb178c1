#pragma once

// Columns of the mail tables, and rows made from them.

#include "store-service/database/database.h"
#include "store-service/database/mysql/connection.h"

#define POSTHORN_ACCOUNT_COLUMNS \
  "account, modseq, next_mailbox, next_email_id, last_uid_validity, used_bytes, used_count"
#define POSTHORN_MAILBOX_COLUMNS                                                    \
  "account, mailbox, name, special_use, uid_validity, uid_next, modseq, log_floor," \
  " messages, unseen, deleted, size"
#define POSTHORN_MESSAGE_COLUMNS                                                         \
  "uid, flags, zone, modseq, kw_low, kw_high, internal_date, save_date, size, email_id," \
  " thread_id, blob_key"

namespace posthorn::store_service {

AccountRow AccountOf(const mysql::Cursor& c);
MailboxRow MailboxOf(const mysql::Cursor& c);
KeywordRow KeywordOf(const mysql::Cursor& c, AccountId account);
MessageColumns ColumnsOf(const mysql::Cursor& c);
// Of uid, blob_key, blob_size, own_prefix, prefix_hash, the body's prefix_hash and shared_prefix,
// another shared_prefix.
MessagePlace PlaceOf(const mysql::Cursor& c);
// Of uid, prefix_size, blob_key, blob_size, digest; valid until the cursor moves.
DigestEntry DigestOf(const mysql::Cursor& c);

}  // namespace posthorn::store_service
