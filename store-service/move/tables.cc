#include "store-service/move/tables.h"

#include <algorithm>
#include <array>

namespace posthorn::store_service {
namespace {

struct Line {
  MoveFile file;
  std::string_view source;
  std::string_view target;
  MoveLead lead;
  // name:type, u unsigned, i signed, b bytes, n bytes or NULL; after "=" what is taken instead.
  std::string_view columns;
};

using F = MoveFile;
using L = MoveLead;

constexpr Line kLines[] = {
    // Epochs and batches go on; nobody holds a lane.
    {F::kMail, "lane", "lane", L::kNone, "lane:u owner:b='' epoch:u batch:u expires:i=0"},
    // Another table of this name is the directory's.
    {F::kMail, "account", "account_state", L::kAccount,
     "account:u modseq:u next_mailbox:u next_email_id:u last_uid_validity:u used_bytes:u "
     "used_count:u"},
    {F::kMail, "mailbox", "mailbox", L::kAccount,
     "account:u mailbox:u name:b special_use:b uid_validity:u uid_next:u modseq:u log_floor:u "
     "messages:u unseen:u deleted:u size:u"},
    {F::kMail, "message", "message", L::kAccount,
     "account:u mailbox:u uid:u modseq:u flags:u kw_low:u kw_high:u internal_date:i zone:i "
     "save_date:i size:u email_id:u thread_id:u blob_key:u blob_size:u prefix_size:u "
     "prefix_hash:u own_prefix:b"},
    {F::kMail, "keyword", "keyword", L::kAccount, "account:u mailbox:u bit:u name:b"},
    {F::kMail, "expunge", "expunge", L::kAccount,
     "account:u mailbox:u modseq:u uid:u blob_key:u time:i"},
    {F::kMail, "dropped", "dropped", L::kAccount, "account:u mailbox:u modseq:u time:i"},
    {F::kMail, "subscription", "subscription", L::kAccount, "account:u name:b"},
    {F::kMail, "delivery", "delivery", L::kAccount,
     "account:u message_id:b copy:u mailbox:u uid:u modseq:u uid_validity:u time:i"},
    {F::kMail, "operation", "operation", L::kAccount, "account:u operation:b time:i reply:b"},
    {F::kMail, "body", "body", L::kBlob, "blob_key:u prefix_hash:u shared_prefix:b digest:b"},
    {F::kMail, "other_prefix", "other_prefix", L::kBlob,
     "blob_key:u prefix_hash:u shared_prefix:b"},
    {F::kMail, "suspect", "suspect", L::kNone, "blob_key:u since:i"},
    {F::kMail, "condemned", "condemned", L::kNone, "blob_key:u time:i destroyed:i"},

    {F::kDirectory, "head", "head", L::kNone, "one:i revision:i"},
    {F::kDirectory, "counter", "counter", L::kNone, "name:b value:i"},
    {F::kDirectory, "key_check", "key_check", L::kNone, "one:i digest:b"},
    {F::kDirectory, "object", "object", L::kNone,
     "kind:b name:b revision:i directory:i sealed:i data:b"},
    {F::kDirectory, "credential", "credential", L::kNone, "kind:b owner:b field:b hash:b scram:b"},
    {F::kDirectory, "revision", "revision", L::kNone,
     "revision:i time_ms:i author:b reason:b commit_id:n"},
    {F::kDirectory, "revision_change", "revision_change", L::kNone,
     "revision:i position:i kind:b name:b sealed:i before:n after:n object:i"},
    {F::kDirectory, "domain", "domain", L::kNone,
     "id:i name:b revision:i session_revision:i data:b"},
    {F::kDirectory, "domain_name", "domain_name", L::kNone, "name:b domain:i"},
    {F::kDirectory, "address", "address", L::kNone, "domain:i local:b type:i object:i"},
    {F::kDirectory, "account", "account", L::kNone,
     "id:i domain:i local:b revision:i session_revision:i data:b"},
    {F::kDirectory, "alias", "alias", L::kNone,
     "id:i domain:i local:b revision:i session_revision:i data:b"},
    {F::kDirectory, "deleting", "deleting", L::kNone, "account:i since:i"},
    {F::kDirectory, "journal", "journal", L::kNone, "id:b description:b registered:i"},

    {F::kQueue, "queue_journal", "queue_journal", L::kNone,
     "id:b owner:b instance:b epoch:i batch:i expires_ms:i beat:i closed:i address:b since_ms:i"},
    {F::kQueue, "queue_entry", "queue_entry", L::kNone,
     "journal:b message:b part:i blob_key:i record:b"},

    {F::kSegments, "blob_segment", "blob_segment", L::kNone,
     "number:i writer:b state:i generation:i reserved:i sealed:i doubtful:i changed:i version:i"},
    {F::kSegments, "blob_registry", "blob_registry", L::kNone, "id:i next:i identity:b guard:i"},
};

// migration, migration_oldest: the steps of each file's schema; MySQL has its own.
// replica: who runs at the moment.
constexpr std::array<std::string_view, 3> kLeftBehind = {"migration", "migration_oldest",
                                                         "replica"};

MoveColumn ColumnOf(std::string_view text) {
  using Type = MoveColumn::Type;
  const size_t colon = text.find(':');
  MoveColumn column;
  column.name = text.substr(0, colon);
  const char type = text[colon + 1];
  column.type = type == 'u'   ? Type::kUnsigned
                : type == 'b' ? Type::kBytes
                : type == 'n' ? Type::kBytesOrNull
                              : Type::kSigned;
  if (text.size() > colon + 3) column.instead = text.substr(colon + 3);
  return column;
}

std::vector<MoveTable> MakeTables() {
  std::vector<MoveTable> tables;
  for (const Line& line : kLines) {
    MoveTable table{line.file, std::string(line.source), std::string(line.target), line.lead, {}};
    for (std::string_view rest = line.columns; !rest.empty();) {
      const size_t end = rest.find(' ');
      if (end != 0) table.columns.push_back(ColumnOf(rest.substr(0, end)));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace

const std::vector<MoveTable>& MoveTables() {
  static const std::vector<MoveTable>* const tables = new std::vector<MoveTable>(MakeTables());
  return *tables;
}

const MoveTable& MoveTableOfMail(std::string_view source) {
  return *std::find_if(MoveTables().begin(), MoveTables().end(), [&](const MoveTable& table) {
    return table.file == MoveFile::kMail && table.source == source;
  });
}

std::span<const std::string_view> TablesLeftBehind() { return kLeftBehind; }

}  // namespace posthorn::store_service
