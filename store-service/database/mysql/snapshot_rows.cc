#include "store-service/database/mysql/snapshot_rows.h"

namespace posthorn::store_service {

using mysql::Cursor;

AccountRow AccountOf(const Cursor& c) {
  AccountRow row;
  row.account = c.Unsigned(0);
  row.modseq = c.Unsigned(1);
  row.next_mailbox = c.Unsigned(2);
  row.next_email_id = c.Unsigned(3);
  row.last_uid_validity = static_cast<uint32_t>(c.Int(4));
  row.used_bytes = c.Unsigned(5);
  row.used_count = c.Unsigned(6);
  return row;
}

MailboxRow MailboxOf(const Cursor& c) {
  MailboxRow row;
  row.account = c.Unsigned(0);
  row.mailbox = c.Unsigned(1);
  row.name = c.Text(2);
  row.special_use = c.Text(3);
  row.uid_validity = static_cast<uint32_t>(c.Int(4));
  row.uid_next = static_cast<Uid>(c.Int(5));
  row.modseq = c.Unsigned(6);
  row.log_floor = c.Unsigned(7);
  row.messages = static_cast<uint32_t>(c.Int(8));
  row.unseen = static_cast<uint32_t>(c.Int(9));
  row.deleted = static_cast<uint32_t>(c.Int(10));
  row.size = c.Unsigned(11);
  return row;
}

KeywordRow KeywordOf(const Cursor& c, AccountId account) {
  return {account, c.Unsigned(0), static_cast<uint32_t>(c.Int(1)), std::string(c.Text(2))};
}

MessageColumns ColumnsOf(const Cursor& c) {
  MessageColumns row;
  row.uid = static_cast<Uid>(c.Int(0));
  row.flags = static_cast<uint16_t>(c.Int(1));
  row.zone_minutes = static_cast<int16_t>(c.Int(2));
  row.modseq = c.Unsigned(3);
  row.keywords = {c.Unsigned(4), c.Unsigned(5)};
  row.internal_date_ms = c.Int(6);
  row.save_date_ms = c.Int(7);
  row.size = c.Unsigned(8);
  row.email_id = c.Unsigned(9);
  row.thread_id = c.Unsigned(10);
  row.blob_key = c.Unsigned(11);
  return row;
}

MessagePlace PlaceOf(const Cursor& c) {
  MessagePlace place{static_cast<Uid>(c.Int(0)), c.Unsigned(1), c.Unsigned(2),
                     std::string(c.Text(3))};
  const uint64_t hash = c.Unsigned(4);
  const bool in_body = hash != 0 && !c.IsNull(5) && c.Unsigned(5) == hash;
  if (hash != 0) place.prefix += c.Text(in_body ? 6 : 7);
  return place;
}

DigestEntry DigestOf(const Cursor& c) {
  return {static_cast<Uid>(c.Int(0)), static_cast<uint32_t>(c.Int(1)), c.Unsigned(2), c.Unsigned(3),
          c.Text(4)};
}

}  // namespace posthorn::store_service
