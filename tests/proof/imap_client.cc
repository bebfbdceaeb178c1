#include "tests/proof/imap_client.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/database/database.h"

namespace posthorn::proof {
namespace {

namespace methods = rpc::store;
namespace v1 = store::v1;

void SetUids(base::Uid uid, google::protobuf::RepeatedPtrField<v1::UidRange>* ranges) {
  v1::UidRange* range = ranges->Add();
  range->set_first(uid);
  range->set_last(uid);
}

template <class Request>
void SetFlags(uint32_t flags, Request& request) {
  request.set_flags(flags & ~kKeyword);
  if ((flags & kKeyword) != 0) request.add_keywords(kKeywordName);
}

}  // namespace

template <class Q, class R>
net::Task<absl::StatusOr<R>> Workload::ImapClient::Ask(Machine& machine, rpc::Method<Q, R> method,
                                                       Q request, std::shared_ptr<Effect> effect) {
  all_.ledger_.Say({.kind = Fact::Kind::kBegun, .accounts = {account_}, .effect = effect});
  return machine.Call(method, account_, std::move(request));
}

// The effect is complete: whoever looks at the ledger from now on sees what was answered.
void Workload::ImapClient::Answered(const std::shared_ptr<Effect>& effect) {
  for (const auto& [place, message] : effect->set) known_[place] = message;
  for (const Place& place : effect->gone) known_.erase(place);
  all_.ledger_.Say({.kind = Fact::Kind::kAnswered, .accounts = {account_}, .effect = effect});
}

void Workload::ImapClient::Reached(Effect& effect,
                                   const google::protobuf::RepeatedPtrField<v1::Reached>& reached) {
  for (const v1::Reached& one : reached) {
    for (const auto& [name, mailbox] : mailboxes_) {
      if (mailbox == one.mailbox()) effect.reached[name] = one.modseq();
    }
  }
}

net::Task<absl::Status> Workload::ImapClient::MakeMailboxes(Machine& machine) {
  for (const char* name : {"Work", "Copies", "Done"}) {
    auto effect = std::make_shared<Effect>();
    effect->created.push_back(name);
    v1::CreateMailboxRequest request;
    request.set_name(name);
    CO_ASSIGN_OR_RETURN(const v1::MailboxReply reply,
                        co_await Ask(machine, methods::kMailboxesCreateMailbox, request, effect));
    mailboxes_[name] = reply.mailbox();
    Answered(effect);
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::ImapClient::Run(Machine& machine, int commands) {
  for (int i = 0; i < commands; ++i) {
    CO_RETURN_IF_ERROR(Look(machine));
    CO_RETURN_IF_ERROR(co_await OneCommand(machine));
  }
  co_return Look(machine);
}

net::Task<absl::Status> Workload::ImapClient::OneCommand(Machine& machine) {
  const uint64_t choice = random_() % 10;
  const std::optional<Place> any = Pick();
  if (choice < 2 || !any) co_return co_await Append(machine);
  if (choice < 5) co_return co_await StoreFlags(machine, *any);
  if (choice < 6) co_return co_await Copy(machine, *any, "Copies", false);
  if (choice < 8) {
    const std::optional<Place> inbox = Pick("INBOX");
    if (inbox) co_return co_await Copy(machine, *inbox, "Done", true);
  }
  co_return co_await Expunge(machine, *any);
}

std::optional<Place> Workload::ImapClient::Pick(std::string_view mailbox) {
  std::vector<Place> places;
  for (const auto& [place, message] : known_) {
    if (mailbox.empty() || place.first == mailbox) places.push_back(place);
  }
  if (places.empty()) return {};
  return places[random_() % places.size()];
}

// What a session would see in INBOX: rows that are committed.
absl::Status Workload::ImapClient::Look(Machine& machine) {
  ASSIGN_OR_RETURN(const auto snapshot, machine.database().OpenSnapshot());
  if (!mailboxes_.contains("INBOX")) {
    ASSIGN_OR_RETURN(const store_service::AccountImage image, snapshot->LoadAccount(account_));
    for (const auto& row : image.mailboxes) mailboxes_[row.name] = row.mailbox;
    if (!mailboxes_.contains("INBOX")) return absl::OkStatus();
  }
  auto effect = std::make_shared<Effect>();
  RETURN_IF_ERROR(snapshot->ReadColumns(
      account_, mailboxes_["INBOX"], 0, [&](const store_service::MessageColumns& row) {
        if (row.uid <= inbox_seen_) return;
        inbox_seen_ = row.uid;
        const Message message{all_.numbers_[row.blob_key], row.flags};
        effect->set.push_back({{"INBOX", row.uid}, message});
      }));
  if (effect->set.empty()) return absl::OkStatus();
  for (const auto& [place, message] : effect->set) known_[place] = message;
  all_.ledger_.Say({.kind = Fact::Kind::kSeen, .accounts = {account_}, .effect = effect});
  return absl::OkStatus();
}

net::Task<absl::Status> Workload::ImapClient::Append(Machine& machine) {
  auto effect = std::make_shared<Effect>();
  const Message message{all_.NextNumber(), RandomFlags()};
  CO_ASSIGN_OR_RETURN(const common::v1::BlobId blob, co_await all_.Put(machine, message.number));
  v1::AppendRequest request;
  request.set_mailbox("Work");
  v1::AppendMessage* added = request.add_messages();
  *added->mutable_blob() = blob;
  SetFlags(message.flags, *added);
  CO_ASSIGN_OR_RETURN(const v1::AppendReply reply,
                      co_await Ask(machine, methods::kMailboxesAppend, request, effect));
  all_.young_.erase(message.number);
  effect->set.push_back({{"Work", reply.uids(0)}, message});
  Reached(*effect, reply.reached());
  Answered(effect);
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::ImapClient::StoreFlags(Machine& machine, Place place) {
  auto effect = std::make_shared<Effect>();
  Message message = known_[place];
  message.flags = RandomFlags();
  v1::StoreFlagsRequest request;
  request.set_mailbox(mailboxes_[place.first]);
  request.set_mode(v1::StoreFlagsRequest::REPLACE);
  SetUids(place.second, request.mutable_uids());
  SetFlags(message.flags, request);
  CO_ASSIGN_OR_RETURN(const v1::StoreFlagsReply reply,
                      co_await Ask(machine, methods::kMailboxesStoreFlags, request, effect));
  effect->set.push_back({place, message});
  Reached(*effect, reply.reached());
  Answered(effect);
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::ImapClient::Copy(Machine& machine, Place place,
                                                   std::string target, bool move) {
  auto effect = std::make_shared<Effect>();
  v1::CopyRequest request;
  request.set_mailbox(mailboxes_[place.first]);
  SetUids(place.second, request.mutable_uids());
  request.set_target(target);
  request.set_move(move);
  CO_ASSIGN_OR_RETURN(const v1::CopyReply reply,
                      co_await Ask(machine, methods::kMailboxesCopy, request, effect));
  effect->set.push_back({{target, reply.target_uids(0).first()}, known_[place]});
  if (move) effect->gone.push_back(place);
  Reached(*effect, reply.reached());
  Answered(effect);
  co_return absl::OkStatus();
}

net::Task<absl::Status> Workload::ImapClient::Expunge(Machine& machine, Place place) {
  auto effect = std::make_shared<Effect>();
  v1::ExpungeRequest request;
  request.set_mailbox(mailboxes_[place.first]);
  SetUids(place.second, request.mutable_uids());
  CO_ASSIGN_OR_RETURN(const v1::ExpungeReply reply,
                      co_await Ask(machine, methods::kMailboxesExpunge, request, effect));
  effect->gone.push_back(place);
  Reached(*effect, reply.reached());
  Answered(effect);
  co_return absl::OkStatus();
}

}  // namespace posthorn::proof
