#include "lib/rpc/incoming.h"

#include <grpc/grpc_security_constants.h>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/rpc/credentials.h"

namespace posthorn::rpc {
namespace {

// Calls gRPC may hand over before the loop has taken one.
constexpr int kRequestsAhead = 16;
constexpr int64_t kTellEveryMicros = 10000000;

std::vector<std::string> CertificateNames(const grpc::ServerContextBase& context) {
  std::vector<std::string> names;
  for (const grpc::string_ref& name :
       context.auth_context()->FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME)) {
    names.emplace_back(name.data(), name.size());
  }
  return names;
}

}  // namespace

// One call asked for, and then in progress until gRPC says it is done.
struct IncomingCalls::Slot : std::enable_shared_from_this<IncomingCalls::Slot> {
  std::shared_ptr<IncomingCalls> owner;
  std::unique_ptr<Accepted> accepted = std::make_unique<Accepted>();
  std::shared_ptr<ServerStream> stream;
  std::shared_ptr<PlainCall> plain;
  // Answers to calls that never reach a handler.
  std::unique_ptr<Accepted> refused;

  void OnRequested(bool ok) {
    // Without a call there is nothing to be done with; with one, gRPC will say so, whatever we do.
    if (!ok) return done.Disarm();
    if (owner->server_->closed) return;
    owner->RequestNext();
    owner->OnCall(*this);
  }
  void OnRequestDropped(bool ok) {
    if (!ok) done.Disarm();
  }
  void OnDone(bool) {
    if (stream) stream->OnDone();
    if (plain) plain->OnDone();
    stream.reset();
    plain.reset();
  }
  void OnRefused(bool) {}

  Tag requested{Completion<&Slot::OnRequested>, Completion<&Slot::OnRequestDropped>};
  Tag done{Completion<&Slot::OnDone>};
  Tag finished{Completion<&Slot::OnRefused>};
};

void IncomingCalls::Begin(std::shared_ptr<grpc::Server> grpc_server) {
  grpc_server_ = std::move(grpc_server);
  for (int i = 0; i < kRequestsAhead; ++i) RequestNext();
}

void IncomingCalls::RequestNext() {
  const auto slot = std::make_shared<Slot>();
  slot->owner = shared_from_this();
  slot->accepted->server = grpc_server_;
  slot->accepted->context.AsyncNotifyWhenDone(slot->done.Arm(slot));
  service_.RequestCall(&slot->accepted->context, &slot->accepted->call, &queue_, &queue_,
                       slot->requested.Arm(slot));
}

// Once for each plain call and each request stream.
absl::StatusOr<std::string> IncomingCalls::RoleOf(const grpc::ServerContextBase& context) {
  constexpr std::string_view kDescriptor = "fd:";
  const std::string peer = context.peer();
  if (!peer.starts_with(kDescriptor)) {
    if (!certificates_) return std::string();
    absl::StatusOr<std::string> role = rpc::RoleOf(CertificateNames(context));
    const int64_t now = base::MonotonicMicros();
    if (!role.ok() && (refusal_told_ == 0 || now - refusal_told_ > kTellEveryMicros)) {
      refusal_told_ = now;
      observe::Warning("rpc.certificate_refused",
                       {{"peer", peer}, {"reason", base::Message(role.status())}});
    }
    return role;
  }
  const auto fd = base::ParseInt<int>(std::string_view(peer).substr(kDescriptor.size()));
  for (const RoleRange& range : roles_) {
    if (fd && *fd >= range.first && *fd < range.end) return range.role;
  }
  return std::string();
}

void IncomingCalls::Refuse(Slot& slot, const absl::Status& status) {
  slot.refused = std::move(slot.accepted);
  slot.refused->call.Finish(ToGrpc(status), slot.finished.Arm(slot.shared_from_this()));
}

void IncomingCalls::OnCall(Slot& slot) {
  absl::StatusOr<std::string> role = RoleOf(slot.accepted->context);
  if (!role.ok()) return Refuse(slot, role.status());
  slot.accepted->role = *std::move(role);
  std::erase_if(open_, [](const auto& weak) { return weak.expired(); });
  open_.push_back(slot.weak_from_this());
  const std::string& path = slot.accepted->context.method();
  if (path == kRequestStreamPath) {
    slot.stream = std::make_shared<ServerStream>(server_, std::move(slot.accepted));
    return slot.stream->Begin();
  }
  const RegisteredMethod* const method = server_->methods.ByPath(path);
  const absl::Status status = Admit(*server_, method, slot.accepted->role);
  if (status.ok()) {
    slot.plain = std::make_shared<PlainCall>(server_, *method, std::move(slot.accepted));
    return slot.plain->Begin();
  }
  Refuse(slot, status);
}

void IncomingCalls::AskToLeave() {
  server_->leaving = true;
  for (const auto& weak : open_) {
    const auto slot = weak.lock();
    if (slot && slot->stream) slot->stream->AskToLeave();
  }
}

void IncomingCalls::Close(const absl::Status& status) {
  for (const auto& weak : std::exchange(open_, {})) {
    const auto slot = weak.lock();
    if (!slot) continue;
    if (slot->stream) slot->stream->Close(status);
    if (slot->plain) slot->plain->Close(status);
  }
  server_->closed = true;
  grpc_server_.reset();
}

}  // namespace posthorn::rpc
