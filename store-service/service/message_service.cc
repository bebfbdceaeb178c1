// The reads of service Mailboxes: bodies, digests, the POP3 lock. Blocking work runs on the
// readers' pool.

#include <utility>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/mailbox/message_reader.h"
#include "store-service/mailbox/text_search.h"
#include "store-service/mailbox/uid_ranges.h"
#include "store-service/service/mailbox_service.h"

namespace posthorn::store_service {
namespace {

constexpr int kDigestsInReply = 2000;
constexpr size_t kDigestBytesInReply = 1 << 20;

int64_t NowMs() { return base::MonotonicMicros() / 1000; }

struct DigestPage {
  v1::ReadDigestsReply reply;
  std::vector<BlobRef> missing;  // blobs of the entries without a digest, in order
  enum class End { kMore, kDone } end = End::kDone;
};

absl::StatusOr<DigestPage> ReadPage(Database& database, AccountId account, MailboxId mailbox,
                                    UidSpan span) {
  DigestPage page;
  size_t bytes = 0;
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  RETURN_IF_ERROR(snapshot->ReadDigests(account, mailbox, span, [&](const DigestEntry& entry) {
    page.reply.add_uids(entry.uid);
    page.reply.add_digests(entry.digest.data(), entry.digest.size());
    page.reply.add_prefix_sizes(entry.prefix_size);
    if (entry.digest.empty()) page.missing.push_back({entry.blob_key, entry.blob_size});
    bytes += entry.digest.size();
    if (page.reply.uids_size() < kDigestsInReply && bytes < kDigestBytesInReply) return true;
    page.end = DigestPage::End::kMore;
    return false;
  }));
  return page;
}

}  // namespace

net::Task<absl::Status> MailboxService::ReadMessages(rpc::ServerCall& call) {
  v1::ReadMessagesRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  CO_ASSIGN_OR_RETURN(const AccountId account, AccountOf(call.context()));
  const auto reader =
      std::make_shared<MessageReader>(lanes_->database(), *blobs_, account, std::move(request));
  for (;;) {
    CO_ASSIGN_OR_RETURN(const std::vector<v1::ReadMessagesReply> replies,
                        co_await lanes_->readers().Run([reader] { return reader->Next(); }));
    if (replies.empty()) co_return absl::OkStatus();
    for (const v1::ReadMessagesReply& reply : replies) {
      CO_RETURN_IF_ERROR(co_await call.Write(reply));
    }
  }
}

net::Task<absl::Status> MailboxService::FillDigests(v1::ReadDigestsReply& reply,
                                                    const std::vector<BlobRef>& missing) {
  size_t next = 0;
  for (int i = 0; i < reply.digests_size() && next < missing.size(); ++i) {
    if (!reply.digests(i).empty()) continue;
    const BlobRef ref = missing[next++];
    const auto digest = co_await digests_->Get(ref.key, ref.size);
    // Damaged bytes: the entry stays empty, the others are worth sending.
    if (digest.ok()) reply.set_digests(i, **digest);
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> MailboxService::ReadDigests(rpc::ServerCall& call) {
  v1::ReadDigestsRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  CO_ASSIGN_OR_RETURN(const AccountId account, AccountOf(call.context()));
  for (UidSpan span : ToSpans(request.uids())) {
    for (;;) {
      CO_ASSIGN_OR_RETURN(DigestPage page,
                          co_await lanes_->readers().Run(
                              [database = &lanes_->database(), account, mailbox = request.mailbox(),
                               span] { return ReadPage(*database, account, mailbox, span); }));
      if (!page.missing.empty()) {
        CO_RETURN_IF_ERROR(co_await FillDigests(page.reply, page.missing));
      }
      if (page.reply.uids_size() > 0) CO_RETURN_IF_ERROR(co_await call.Write(page.reply));
      if (page.end == DigestPage::End::kDone) break;
      const Uid last = page.reply.uids(page.reply.uids_size() - 1);
      if (last >= span.last) break;
      span.first = last + 1;
    }
  }
  co_return absl::OkStatus();
}

// In steps on threads of their own: a search neither takes the readers from FETCH nor goes on when
// its caller has gone, and what is in memory is a step for each thread.
net::Task<absl::Status> MailboxService::SearchText(rpc::ServerCall& call) {
  v1::SearchTextRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  CO_ASSIGN_OR_RETURN(const AccountId account, AccountOf(call.context()));
  const auto query = std::make_shared<const TextQuery>(request);
  for (UidSpan span : ToSpans(request.uids())) {
    for (;;) {
      if (call.cancelled()) co_return absl::CancelledError("the caller has gone");
      const absl::StatusOr<SearchStep> step =
          co_await search_pool_.Run([database = &lanes_->database(), blobs = blobs_, query, account,
                                     mailbox = request.mailbox(), span] {
            return SearchSome(*database, *blobs, account, mailbox, span, *query);
          });
      // A full pool is no full disk.
      if (absl::IsResourceExhausted(step.status())) co_return base::Unavailable("busy searching");
      CO_RETURN_IF_ERROR(step.status());
      std::vector<UidSpan> matches;
      for (const Uid uid : step->matches) AppendUid(matches, uid);
      v1::SearchTextReply reply;
      FromSpans(matches, reply.mutable_uids());
      CO_RETURN_IF_ERROR(co_await call.Write(reply));
      if (step->last == 0 || step->last >= span.last) break;
      span.first = step->last + 1;
    }
  }
  co_return absl::OkStatus();
}

struct MailboxService::Maildrop {
  explicit Maildrop(net::Loop& loop) : ended(loop) {}
  net::Promise<bool> ended;
  bool moved = false;  // with its lane
};

// [RFC1939 8] held while the call is open.
net::Task<absl::Status> MailboxService::LockMaildrop(rpc::ServerCall& call) {
  v1::LockMaildropRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  CO_ASSIGN_OR_RETURN(const AccountId account, AccountOf(call.context()));
  // Sessions that held the lock at the lane's last owner come first.
  const int64_t wait = request.reclaim() ? 0 : reclaims_until_ms_[base::LaneOf(account)] - NowMs();
  if (wait > 0) co_await net::Sleep(lanes_->loop(), std::chrono::milliseconds(wait));
  if (call.cancelled()) co_return base::Unavailable("the session is gone");
  if (!lanes_->held(base::LaneOf(account))) co_return base::Unavailable(base::kNotOwner);
  if (maildrops_.contains(account)) co_return base::Exists("the maildrop is locked");
  const auto lock = std::make_shared<Maildrop>(lanes_->loop());
  maildrops_[account] = lock;
  call.OnCancel([lock] { lock->ended.Set(true); });
  const auto inbox = co_await lanes_->Run<MailboxId>(
      account, nullptr, [](Change& change) -> absl::StatusOr<MailboxId> {
        return change.account().Find("INBOX")->row.mailbox;
      });
  absl::Status status = inbox.status();
  if (status.ok()) {
    v1::LockMaildropReply reply;
    reply.set_inbox(*inbox);
    status = co_await call.Write(reply);
  }
  if (status.ok() && !call.cancelled()) co_await lock->ended.Get();
  const auto mine = maildrops_.find(account);
  if (mine != maildrops_.end() && mine->second == lock) maildrops_.erase(mine);
  if (status.ok() && lock->moved) status = base::Unavailable(base::kNotOwner);
  co_return status;
}

void MailboxService::OnLaneTaken(uint32_t lane) {
  reclaims_until_ms_[lane] = NowMs() + lanes_->options().reclaim_ms;
}

void MailboxService::OnLaneLost(uint32_t lane) {
  for (const auto& [account, lock] : maildrops_) {
    if (base::LaneOf(account) != lane) continue;
    lock->moved = true;
    lock->ended.Set(true);
  }
}

void MailboxService::EndSessions(AccountId account) {
  const auto found = maildrops_.find(account);
  if (found != maildrops_.end()) found->second->ended.Set(true);
}

}  // namespace posthorn::store_service
