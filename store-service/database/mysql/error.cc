#include "store-service/database/mysql/error.h"

#include "lib/base/strings.h"

namespace posthorn::mysql {
namespace {

constexpr char kRetry[] = "posthorn.mysql/retry";

absl::StatusCode CodeOf(int code) {
  if (IsLinkLost(code)) return absl::StatusCode::kUnavailable;
  switch (code) {
    case 1062:  // duplicate entry
    case 1586:  // duplicate entry, with the key's name
      return absl::StatusCode::kAlreadyExists;
    case 1213:  // deadlock; Galera: certification failed
    case 1205:  // lock wait time-out
    case 1020:  // record changed since last read
    case 1412:  // table definition has changed
    case 1615:  // prepared statement needs to be prepared again
      return absl::StatusCode::kAborted;
    case 3:     // error writing a file
    case 28:    // no space left on device
    case 1021:  // disk full
    case 1026:  // error writing a file
    case 1114:  // table full
    case 1041:  // out of memory
    case 1037:
    case 1038:
      return absl::StatusCode::kResourceExhausted;
    case 1044:  // access denied to the database
    case 1045:  // access denied
    case 1142:  // command denied on a table
    case 1227:  // privilege needed
    case 1698:  // access denied, no password used
      return absl::StatusCode::kPermissionDenied;
    case 1049:  // unknown database
    case 1048:  // null where it must not be
    case 1406:  // data too long
    case 1264:  // out of range
    case 1451:  // foreign keys
    case 1452:
    case 4025:  // check constraint
      return absl::StatusCode::kFailedPrecondition;
    case 1317:  // query was interrupted
    case 1969:  // statement took too long
    case 3024:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status Make(absl::StatusCode code, int number, std::string_view message) {
  return base::Error(code, base::StrCat("database: ", message, " (", number, ")"));
}

}  // namespace

bool IsLinkLost(int code) {
  switch (code) {
    case 1040:  // too many connections
    case 1203:
    case 1226:  // too many for this user
    case 1042:  // can't get the host's name
    case 1043:  // bad handshake
    case 1047:  // unknown command; Galera: the node is not ready for queries
    case 1053:  // server shutdown
    case 1077:  // normal shutdown
    case 1079:  // shutdown complete
    case 1080:  // forcing close of a thread
    case 1129:  // host is blocked after too many errors
    case 1152:  // aborted connection
    case 1153:  // packet too large
    case 1156:  // packets out of order
    case 1158:  // errors and time-outs of reading and writing packets
    case 1159:
    case 1160:
    case 1161:
    case 1184:  // aborted connection
    case 1927:  // connection was killed
    case 1243:  // unknown prepared statement: another server behind the same address
    case 1290:  // --read-only: no longer the one that takes writes
    case 1836:  // running in read-only mode
    case 4031:  // disconnected by the server because of inactivity
    case 2000:  // unknown, of the client library
    case 2001:  // no socket
    case 2002:  // cannot connect
    case 2003:
    case 2004:
    case 2005:  // unknown host
    case 2006:  // server has gone away
    case 2009:  // wrong host
    case 2012:  // error in the handshake
    case 2013:  // lost connection during a query
    case 2014:  // commands out of sync
    case 2026:  // TLS
    case 2027:  // malformed packet
    case 2030:  // statement not prepared: it belonged to an earlier link
    case 2048:  // invalid connection handle
    case 2055:  // lost connection at …
    case 2056:  // statement closed because of reconnecting
    case 5014:  // MariaDB's client: TLS and handshake
      return true;
    default:
      return false;
  }
}

absl::Status ToStatus(int code, std::string_view message) {
  absl::Status status = Make(CodeOf(code), code, message);
  if (status.code() == absl::StatusCode::kAborted) status.SetPayload(kRetry, absl::Cord("1"));
  return status;
}

bool IsRetry(const absl::Status& status) { return status.GetPayload(kRetry).has_value(); }

}  // namespace posthorn::mysql
