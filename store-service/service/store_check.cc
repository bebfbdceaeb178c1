#include "store-service/service/store_check.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/mime/digest.h"

namespace posthorn::store_service {
namespace {

constexpr uint64_t kMostProblemLines = 1000;
constexpr uint64_t kProgressEvery = 100000;
constexpr uint32_t kAccountsAtOnce = 1000;
constexpr size_t kMostSubject = 200;  // bytes

std::string Place(uint64_t key) {
  return base::StrCat("segment ", SegmentOf(key), " offset ", OffsetOf(key));
}

// "" when the counters agree with the messages.
std::string Difference(const MailboxRow& row, const MailboxTotals& totals) {
  std::string text;
  const auto compare = [&text](std::string_view what, uint64_t counter, uint64_t real) {
    if (counter != real) base::StrAppend(text, " ", what, " ", counter, " instead of ", real);
  };
  compare("messages", row.messages, totals.messages);
  compare("unseen", row.unseen, totals.unseen);
  compare("deleted", row.deleted, totals.deleted);
  compare("size", row.size, totals.size);
  return text;
}

// Between characters.
std::string_view Cut(std::string_view text) {
  size_t end = std::min(text.size(), kMostSubject);
  while (end > 0 && end < text.size() && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// What the digest still knows of a message, fit for a terminal; "" when it knows nothing.
absl::StatusOr<std::string> SubjectOf(ReadSnapshot& snapshot, const MailboxRow& mailbox, Uid uid) {
  std::string subject;
  RETURN_IF_ERROR(snapshot.ReadDigests(
      mailbox.account, mailbox.mailbox, {uid, uid}, [&subject](const DigestEntry& entry) {
        const std::optional<mime::DigestView> digest = mime::DigestView::Open(entry.digest);
        if (digest) subject = Cut(digest->subject());
        return false;
      }));
  const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  std::replace_if(subject.begin(), subject.end(), control, '?');
  return subject;
}

}  // namespace

void StoreCheck::Problem(std::string line) {
  if (++findings_.problems <= kMostProblemLines) say_(CheckSay::kProblem, std::move(line));
}

absl::Status StoreCheck::Run() {
  // References first: a message that comes meanwhile has its blob in what is read afterwards.
  ASSIGN_OR_RETURN(const std::unique_ptr<ReadSnapshot> snapshot, database_.OpenSnapshot());
  RETURN_IF_ERROR(CheckAccounts(*snapshot));
  RETURN_IF_ERROR(ReadBlobs());
  RETURN_IF_ERROR(CheckReferences(*snapshot));
  return bad_.empty() ? absl::OkStatus() : NameUnreadable(*snapshot);
}

absl::Status StoreCheck::ReadBlobs() {
  say_(CheckSay::kProgress, "reading every message back");
  const auto visit = [this](const BlobRecord& record) {
    keys_.push_back(record.ref.key);
    if (!record.status.ok()) {
      bad_.push_back(record.ref.key);
      Problem(base::StrCat(Place(record.ref.key), ": ", base::Message(record.status)));
    }
    if (++findings_.blobs % kProgressEvery == 0) {
      say_(CheckSay::kProgress, base::StrCat(findings_.blobs, " messages read"));
    }
    return !stop_;
  };
  const absl::Status walked = blobs_.ForEach(visit, [](uint64_t) {});
  if (!walked.ok()) Problem(base::StrCat("segments: ", base::Message(walked)));
  for (const BlobDamage& damage : blobs_.Damage()) {
    Problem(base::StrCat("segment ", damage.segment, " offset ", damage.offset, ": ", damage.what));
  }
  std::sort(keys_.begin(), keys_.end());
  return stop_ ? base::Aborted("stopped") : absl::OkStatus();
}

absl::Status StoreCheck::CheckAccounts(ReadSnapshot& snapshot) {
  say_(CheckSay::kProgress, "comparing counters with messages");
  for (base::AccountId after = 0; !stop_;) {
    ASSIGN_OR_RETURN(const std::vector<AccountRow> rows, snapshot.Accounts(after, kAccountsAtOnce));
    if (rows.empty()) return absl::OkStatus();
    for (const AccountRow& row : rows) RETURN_IF_ERROR(CheckAccount(snapshot, row));
    after = rows.back().account;
  }
  return base::Aborted("stopped");
}

absl::Status StoreCheck::CheckAccount(ReadSnapshot& snapshot, const AccountRow& row) {
  ASSIGN_OR_RETURN(const AccountImage image, snapshot.LoadAccount(row.account));
  uint64_t bytes = 0;
  uint64_t count = 0;
  bool differs = false;
  for (const MailboxRow& mailbox : image.mailboxes) {
    ASSIGN_OR_RETURN(const MailboxTotals totals, snapshot.Totals(row.account, mailbox.mailbox));
    const std::string where = base::StrCat("account ", row.account, " mailbox ", mailbox.name, ":");
    bytes += totals.size;
    count += totals.messages;
    if (const std::string difference = Difference(mailbox, totals); !difference.empty()) {
      differs = true;
      Problem(base::StrCat(where, difference));
    }
    if (totals.messages > 0 && totals.highest_uid >= mailbox.uid_next) {
      Problem(base::StrCat(where, " uid ", totals.highest_uid, " is not below the next uid ",
                           mailbox.uid_next));
    }
    if (totals.highest_modseq > mailbox.modseq || mailbox.modseq > image.row.modseq) {
      Problem(base::StrCat(where, " modseq from the future"));
    }
  }
  findings_.messages += count;
  if (bytes != image.row.used_bytes || count != image.row.used_count) {
    differs = true;
    Problem(base::StrCat("account ", row.account, ": used ", image.row.used_bytes, " bytes in ",
                         image.row.used_count, " messages instead of ", bytes, " in ", count));
  }
  if (differs) findings_.miscounted.push_back(row.account);
  return absl::OkStatus();
}

absl::Status StoreCheck::CheckReferences(ReadSnapshot& snapshot) {
  say_(CheckSay::kProgress, "looking for rows without bytes");
  std::vector<bool> referenced(keys_.size());
  uint64_t last_missing = 0;
  RETURN_IF_ERROR(snapshot.ReadReferences([&](uint64_t key) {
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
    if (at != keys_.end() && *at == key) {
      referenced[static_cast<size_t>(at - keys_.begin())] = true;
    } else if (key != last_missing) {
      last_missing = key;
      bad_.push_back(key);
      Problem(base::StrCat(Place(key), ": a message refers to it and it is not there"));
    }
  }));
  for (const bool used : referenced) findings_.unreferenced += !used;
  return absl::OkStatus();
}

// Which messages, and whose, the damaged and missing bytes are.
absl::Status StoreCheck::NameUnreadable(ReadSnapshot& snapshot) {
  say_(CheckSay::kProgress, "naming the messages that cannot be read");
  std::sort(bad_.begin(), bad_.end());
  for (base::AccountId after = 0; !stop_;) {
    ASSIGN_OR_RETURN(const std::vector<AccountRow> rows, snapshot.Accounts(after, kAccountsAtOnce));
    if (rows.empty()) return absl::OkStatus();
    for (const AccountRow& row : rows) {
      ASSIGN_OR_RETURN(const AccountImage image, snapshot.LoadAccount(row.account));
      for (const MailboxRow& mailbox : image.mailboxes) {
        RETURN_IF_ERROR(NameUnreadable(snapshot, mailbox));
      }
    }
    after = rows.back().account;
  }
  return base::Aborted("stopped");
}

absl::Status StoreCheck::NameUnreadable(ReadSnapshot& snapshot, const MailboxRow& mailbox) {
  std::vector<MessageColumns> found;
  RETURN_IF_ERROR(snapshot.ReadColumns(
      mailbox.account, mailbox.mailbox, 0, [this, &found](const MessageColumns& row) {
        if (std::binary_search(bad_.begin(), bad_.end(), row.blob_key)) found.push_back(row);
      }));
  for (const MessageColumns& row : found) {
    if (++findings_.unreadable > kMostProblemLines) continue;
    ASSIGN_OR_RETURN(const std::string subject, SubjectOf(snapshot, mailbox, row.uid));
    // Its bytes were counted as a problem already.
    say_(CheckSay::kProblem, base::StrCat("account ", mailbox.account, " mailbox ", mailbox.name,
                                          " uid ", row.uid, ", ", row.size, " bytes, \"", subject,
                                          "\": cannot be read (", Place(row.blob_key), ")"));
  }
  return absl::OkStatus();
}

}  // namespace posthorn::store_service
