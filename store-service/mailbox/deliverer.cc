#include "store-service/mailbox/deliverer.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/span.h"
#include "store-service/mailbox/mailbox_changes.h"
#include "store-service/mailbox/names.h"

namespace posthorn::store_service {
namespace {

constexpr size_t kRemembered = 200000;
constexpr int64_t kTellEveryMs = 5000;

// Names a shared prefix among those of one blob. 63 bits, never 0.
uint64_t PrefixHash(std::string_view prefix) {
  if (prefix.empty()) return 0;
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(prefix.data()), prefix.size(), digest);
  uint64_t hash = 0;
  std::memcpy(&hash, digest, sizeof(hash));
  return (hash >> 1) | 1;
}

void Fill(const DeliveryRow& row, v1::DeliveryResult& result) {
  result.set_outcome(v1::DeliveryResult::DELIVERED);
  result.set_mailbox(row.mailbox);
  result.set_uid(row.uid);
  result.set_modseq(row.modseq);
  result.set_uid_validity(row.uid_validity);
}

observe::Counter* Delivered() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_store_deliveries_total", "deliveries by outcome", {{"outcome", "delivered"}});
  return kCounter;
}
observe::Counter* Later() {
  static observe::Counter* const kCounter = observe::NewCounter(
      "posthorn_store_deliveries_total", "deliveries by outcome", {{"outcome", "later"}});
  return kCounter;
}

// Why mail waits; a word every few seconds is enough. On the loop.
void Tell(const absl::Status& status) {
  static int64_t next_ms = 0;
  const int64_t now = base::WallMillis();
  if (now < next_ms) return;
  next_ms = now + kTellEveryMs;
  observe::Warning("store.deliver.later", {{"status", status.ToString()}});
}

}  // namespace

// One Deliver request while its deliveries are under way.
struct Deliverer::Call {
  explicit Call(net::Loop& loop) : finished(loop) {}
  v1::DeliverRequest request;
  v1::DeliverReply reply;
  std::vector<std::shared_ptr<const std::string>> digests;
  std::vector<std::optional<DeliveryRow>> earlier;
  int open = 0;
  net::Promise<bool> finished;
};

class Deliverer::DeliverOperation final : public Operation {
 public:
  DeliverOperation(std::shared_ptr<Call> call, int index, const DeliveryKey& key,
                   DeliveryMemory& memory, uint64_t prefix_hash)
      : Operation(key.account),
        call_(std::move(call)),
        index_(index),
        key_(key),
        memory_(&memory),
        prefix_hash_(prefix_hash),
        earlier_(call_->earlier[static_cast<size_t>(index)]) {
    const std::string& traceparent = call_->request.deliveries(index).traceparent();
    if (!traceparent.empty())
      span_ = rpc::Span(rpc::TraceContext::Parse(traceparent), "store.deliver");
  }

  absl::Status Apply(Change& change) override {
    if (earlier_) {
      row_ = *earlier_;
      return absl::OkStatus();
    }
    if (const DeliveryRow* known = retried_ ? nullptr : memory_->Find(key_)) {
      row_ = *known;
      return absl::OkStatus();
    }
    Store(change);
    return absl::OkStatus();
  }
  absl::Status BeforeRetry(ReadSnapshot& snapshot) override {
    retried_ = true;
    ASSIGN_OR_RETURN(earlier_, snapshot.FindDelivery(key_));
    return absl::OkStatus();
  }
  rpc::TraceContext trace() const override { return span_.context(); }
  void Done(absl::Status status) override {
    v1::DeliveryResult& result = *call_->reply.mutable_results(index_);
    if (!status.ok()) span_.Fail(base::Message(status));
    span_.End();
    if (status.ok()) {
      Fill(row_, result);
      Delivered()->Add();
    } else {
      memory_->Forget(key_);
      result.set_outcome(v1::DeliveryResult::LATER);
      Later()->Add();
      Tell(status);
    }
    if (--call_->open == 0) call_->finished.Set(true);
  }

 private:
  void Store(Change& change) {
    const v1::Delivery& delivery = call_->request.deliveries(index_);
    change.SetArrival(delivery.accepted_ms(), span_.traceparent());
    // Never refused for a bad name: accepted mail goes to INBOX then.
    const auto name = delivery.mailbox().empty() ? absl::StatusOr<std::string>("INBOX")
                                                 : NormalName(delivery.mailbox());
    Mailbox& mailbox = FindOrCreate(change, name.ok() ? *name : "INBOX", "");
    const std::vector<std::string> keywords(delivery.keywords().begin(), delivery.keywords().end());
    NewMessage message;
    message.blob_key = delivery.blob().key();
    message.blob_size = delivery.blob().size();
    message.own_prefix = delivery.own_prefix();
    message.prefix_hash = prefix_hash_;
    message.prefix_size =
        static_cast<uint32_t>(delivery.own_prefix().size() + delivery.shared_prefix().size());
    message.flags = static_cast<uint16_t>(delivery.flags());
    // A full table of keywords does not stop mail.
    if (change.HasRoom(mailbox, keywords)) message.keywords = change.Keywords(mailbox, keywords);
    message.internal_date_ms = delivery.internal_date_ms();
    const MessageColumns stored = change.Add(mailbox, std::move(message));
    if (!change.rows().HasBody(stored.blob_key, prefix_hash_)) {
      const auto& digest = call_->digests[static_cast<size_t>(index_)];
      change.rows().PutBody({stored.blob_key, prefix_hash_, delivery.shared_prefix(),
                             digest ? *digest : std::string()});
    }
    row_ = {key_,          mailbox.row.mailbox,      stored.uid,
            stored.modseq, mailbox.row.uid_validity, change.now_ms()};
    change.rows().deliveries.push_back(row_);
    memory_->Put(row_);
  }

  std::shared_ptr<Call> call_;
  const int index_;
  const DeliveryKey key_;
  DeliveryMemory* memory_;
  const uint64_t prefix_hash_;
  std::optional<DeliveryRow> earlier_;
  bool retried_ = false;
  DeliveryRow row_;
  rpc::Span span_;
};

Deliverer::Deliverer(LaneEngine& lanes, const Accounts& accounts, DigestSource& digests)
    : lanes_(&lanes), accounts_(&accounts), digests_(&digests), memory_(kRemembered) {
  Delivered();  // made now: a panel shows 0, not nothing
  Later();
  lanes.AddObserver(this);
}

void Deliverer::OnLaneTaken(uint32_t lane) { memory_.Take(lane, base::WallMillis()); }

net::Task<absl::StatusOr<std::optional<DeliveryRow>>> Deliverer::LookUp(DeliveryKey key) {
  co_return co_await lanes_->readers().Run(
      [database = &lanes_->database(), key]() -> absl::StatusOr<std::optional<DeliveryRow>> {
        ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database->OpenSnapshot());
        return snapshot->FindDelivery(key);
      });
}

// Fills digest and earlier result of one delivery; sets an outcome when it cannot go on.
net::Task<void> Deliverer::Prepare(std::shared_ptr<Call> call, int index) {
  const v1::Delivery& delivery = call->request.deliveries(index);
  v1::DeliveryResult& result = *call->reply.mutable_results(index);
  const auto id = base::MessageId::FromBytes(delivery.message_id());
  AccountState state = accounts_->Facts(delivery.account()).state;
  if (state == AccountState::kUnknown) {
    // Made a moment ago at another store, perhaps.
    if (!(co_await accounts_->CatchUp()).ok()) {
      result.set_outcome(v1::DeliveryResult::LATER);
      co_return;
    }
    state = accounts_->Facts(delivery.account()).state;
  }
  if (state == AccountState::kUnknown || state == AccountState::kDeleting) {
    result.set_outcome(v1::DeliveryResult::UNKNOWN_ACCOUNT);
    co_return;
  }
  if (!id) {
    result.set_outcome(v1::DeliveryResult::LATER);
    co_return;
  }
  const auto i = static_cast<size_t>(index);
  const DeliveryKey key{delivery.account(), *id, delivery.copy()};
  if (memory_.Find(key) == nullptr && !memory_.Complete(key)) {
    auto earlier = co_await LookUp(key);
    if (!earlier.ok()) {
      result.set_outcome(v1::DeliveryResult::LATER);
      co_return;
    }
    call->earlier[i] = *std::move(earlier);
    if (call->earlier[i]) co_return;
  }
  call->digests[i] = digests_->Recent(delivery.blob().key());
  if (call->digests[i]) co_return;
  auto digest = co_await digests_->Get(delivery.blob().key(), delivery.blob().size());
  if (digest.ok()) {
    call->digests[i] = *std::move(digest);
  } else {
    result.set_outcome(digest.status().code() == absl::StatusCode::kNotFound
                           ? v1::DeliveryResult::NO_BLOB
                           : v1::DeliveryResult::LATER);
  }
}

net::Task<v1::DeliverReply> Deliverer::Deliver(v1::DeliverRequest request) {
  auto call = std::make_shared<Call>(lanes_->loop());
  call->request = std::move(request);
  const int count = call->request.deliveries_size();
  call->digests.resize(static_cast<size_t>(count));
  call->earlier.resize(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) call->reply.add_results();
  for (int i = 0; i < count; ++i) co_await Prepare(call, i);
  call->open = 1;
  const std::string* last_prefix = nullptr;
  uint64_t hash = 0;
  for (int i = 0; i < count; ++i) {
    if (call->reply.results(i).outcome() != v1::DeliveryResult::OUTCOME_UNSPECIFIED) continue;
    const v1::Delivery& delivery = call->request.deliveries(i);
    if (last_prefix == nullptr || *last_prefix != delivery.shared_prefix()) {
      last_prefix = &delivery.shared_prefix();
      hash = PrefixHash(*last_prefix);
    }
    const DeliveryKey key{delivery.account(), *base::MessageId::FromBytes(delivery.message_id()),
                          delivery.copy()};
    ++call->open;
    lanes_->Submit(std::make_unique<DeliverOperation>(call, i, key, memory_, hash));
  }
  if (--call->open > 0) co_await call->finished.Get();
  co_return std::move(call->reply);
}

}  // namespace posthorn::store_service
