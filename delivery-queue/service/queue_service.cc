#include "delivery-queue/service/queue_service.h"

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/cluster/queues.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/server.h"

namespace posthorn::delivery_queue {
namespace {

using queue::v1::ActReply;
using queue::v1::ActRequest;
using queue::v1::EnqueueReply;
using queue::v1::EnqueueRequest;
using queue::v1::ListQueueReply;
using queue::v1::ListQueueRequest;
using queue::v1::QueuedMessage;
using queue::v1::QueueStatusReply;
using queue::v1::QueueStatusRequest;
using queue::v1::RecipientState;
using queue::v1::StoredEntry;

constexpr size_t kDefaultPage = 100;
constexpr size_t kLargestPage = 10000;

using LifePtr = std::shared_ptr<Life>;

absl::Status NoLife() { return base::Unavailable("this queue opens its journal"); }

class Arriving {
 public:
  explicit Arriving(Life& life) : life_(life) { ++life_.arriving; }
  ~Arriving() { --life_.arriving; }
  Arriving(const Arriving&) = delete;

 private:
  Life& life_;
};

net::Task<absl::StatusOr<EnqueueReply>> Enqueue(net::Loop& loop, LifePtr life, EnqueueRequest request) {
  if (life == nullptr || !life->taking) co_return base::Unavailable(cluster::kNotTaken);
  const Arriving arriving(*life);
  net::Promise<absl::Status> durable(loop);
  life->queue->Accept(std::move(*request.mutable_entry()),
               [durable](absl::Status status) mutable { durable.Set(std::move(status)); });
  CO_RETURN_IF_ERROR(co_await durable.Get());
  co_return EnqueueReply();
}

std::string_view StateName(const StoredEntry& stored, const RecipientState& state) {
  switch (state.phase()) {
    case RecipientState::READY: return stored.held() ? "held" : "ready";
    case RecipientState::DEFERRED: return stored.held() ? "held" : "deferred";
    case RecipientState::DONE: return "done";
    default: return "failed";
  }
}

bool Matches(const StoredEntry& stored, std::string_view what) {
  if (what.empty()) return true;
  if (base::ContainsIgnoreCase(stored.entry().sender(), what)) return true;
  for (const auto& recipient : stored.entry().recipients())
    if (base::ContainsIgnoreCase(recipient.address(), what)) return true;
  const auto id = base::MessageId::FromBytes(stored.entry().message_id());
  return id && base::ContainsIgnoreCase(id->ToString(), what);
}

QueuedMessage Describe(const StoredEntry& stored) {
  QueuedMessage message;
  const queue::v1::Entry& entry = stored.entry();
  message.set_message_id(entry.message_id());
  message.set_sender(entry.sender());
  message.set_received_ms(entry.received_ms());
  message.set_size(entry.prefix().size() + entry.blob().size());
  message.set_subject(entry.subject());
  message.set_held(stored.held());
  for (int i = 0; i < stored.states_size() && i < entry.recipients_size(); ++i) {
    const RecipientState& state = stored.states(i);
    auto* recipient = message.add_recipients();
    recipient->set_address(entry.recipients(i).address());
    recipient->set_attempts(state.attempts());
    recipient->set_next_attempt_ms(state.next_attempt_ms());
    recipient->set_last_reply(state.last_reply());
    recipient->set_state(std::string(StateName(stored, state)));
  }
  return message;
}

// False: finished meanwhile, or damaged, which the log says. A journal that cannot be asked is no
// reason to say that a message is not there.
absl::StatusOr<bool> IsThere(const absl::StatusOr<StoredEntry>& stored) {
  if (stored.ok()) return true;
  if (absl::IsNotFound(stored.status()) || absl::IsDataLoss(stored.status())) return false;
  return stored.status();
}

net::Task<absl::StatusOr<ListQueueReply>> List(LifePtr life, std::string name, ListQueueRequest request) {
  if (life == nullptr) co_return NoLife();
  MailQueue& queue = *life->queue;
  const size_t limit =
      request.limit() == 0 ? kDefaultPage : std::min<size_t>(request.limit(), kLargestPage);
  ListQueueReply reply;
  EntryKey after{base::MessageId::FromBytes(request.after()).value_or(base::MessageId()), UINT32_MAX};
  bool from_start = request.after().empty();
  for (;;) {
    const std::vector<EntryKey> keys = queue.Keys(from_start ? nullptr : &after, kDefaultPage);
    if (keys.empty()) co_return reply;
    for (const EntryKey& key : keys) {
      if (static_cast<size_t>(reply.messages_size()) == limit) {
        reply.set_more(true);
        co_return reply;
      }
      const absl::StatusOr<StoredEntry> stored = co_await queue.Look(key);
      CO_ASSIGN_OR_RETURN(const bool there, IsThere(stored));
      if (!there || !Matches(*stored, request.match())) continue;
      *reply.add_messages() = Describe(*stored);
      reply.mutable_messages(reply.messages_size() - 1)->set_replica(name);
    }
    after = keys.back();
    from_start = false;
  }
}

std::optional<MailQueue::Action> ToAction(ActRequest::Action action) {
  switch (action) {
    case ActRequest::RETRY: return MailQueue::Action::kRetry;
    case ActRequest::HOLD: return MailQueue::Action::kHold;
    case ActRequest::RELEASE: return MailQueue::Action::kRelease;
    case ActRequest::REMOVE: return MailQueue::Action::kRemove;
    case ActRequest::BOUNCE: return MailQueue::Action::kBounce;
    default: return {};
  }
}

bool Names(const ActRequest& request, const EntryKey& key) {
  for (const std::string& id : request.message_ids())
    if (id == key.message.bytes()) return true;
  return false;
}

net::Task<absl::StatusOr<ActReply>> Act(LifePtr life, ActRequest request) {
  if (life == nullptr) co_return NoLife();
  MailQueue& queue = *life->queue;
  const std::optional<MailQueue::Action> action = ToAction(request.action());
  if (!action) co_return base::Invalid("unknown action");
  std::vector<EntryKey> chosen;
  for (const EntryKey& key : queue.Keys(nullptr, SIZE_MAX)) {
    const bool named = request.message_ids_size() > 0;
    if (named && !Names(request, key)) continue;
    const absl::StatusOr<StoredEntry> stored = co_await queue.Look(key);
    CO_ASSIGN_OR_RETURN(const bool there, IsThere(stored));
    if (there && (named || Matches(*stored, request.match()))) chosen.push_back(key);
  }
  ActReply reply;
  for (const EntryKey& key : chosen)
    if (co_await queue.Act(key, *action)) reply.set_affected(reply.affected() + 1);
  co_return reply;
}

net::Task<absl::StatusOr<QueueStatusReply>> Status(LifePtr life, std::string name) {
  QueueStatusReply reply;
  reply.set_replica(std::move(name));
  if (life == nullptr) {
    reply.add_problems("it opens its journal");
    co_return reply;
  }
  if (const absl::Status ready = life->journal->Ready(); !ready.ok()) reply.add_problems(std::string(base::Message(ready)));
  const MailQueue::Counts counts = life->queue->counts();
  reply.set_entries(counts.entries);
  reply.set_recipients_ready(counts.recipients_ready);
  reply.set_recipients_deferred(counts.recipients_deferred);
  reply.set_held(counts.held);
  if (counts.oldest_ms != 0)
    reply.set_oldest_seconds(
        static_cast<uint64_t>(std::max<int64_t>(0, base::WallMillis() - counts.oldest_ms)) / 1000);
  reply.set_journal_id(life->journal->id());
  const std::chrono::milliseconds lease = life->journal->LeaseLeft();
  const bool leased = lease != std::chrono::milliseconds::max();
  reply.set_journal(leased ? "store" : "folder");
  if (leased) reply.set_lease_left_ms(lease.count());
  co_return reply;
}

}  // namespace

void RegisterQueueService(rpc::Server& server, net::Loop& loop, CurrentLife life, std::string name) {
  server.Handle<EnqueueRequest, EnqueueReply>(
      rpc::queue::kQueueEnqueue, {"smtp-gateway", "pop3-gateway"},
      [&loop, life](const rpc::CallContext&, EnqueueRequest request) {
        return Enqueue(loop, life(), std::move(request));
      });
  server.Handle<ListQueueRequest, ListQueueReply>(
      rpc::queue::kQueueList, {"admin-service"},
      [life, name](const rpc::CallContext&, ListQueueRequest request) {
        return List(life(), name, std::move(request));
      });
  server.Handle<ActRequest, ActReply>(rpc::queue::kQueueAct, {"admin-service"},
                                      [life](const rpc::CallContext&, ActRequest request) {
                                        return Act(life(), std::move(request));
                                      });
  server.Handle<QueueStatusRequest, QueueStatusReply>(
      rpc::queue::kQueueStatus, {"admin-service"},
      [life, name](const rpc::CallContext&, const QueueStatusRequest&) {
        return Status(life(), name);
      });
}

}  // namespace posthorn::delivery_queue
