#include "admin-service/service/rules.h"

#include <array>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/objects.h"
#include "lib/net/tls_context.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

namespace v1 = ::posthorn::config::v1;
using Wrong = std::vector<std::string>;

template <class T>
const T& As(const Workspace::MessagePtr& message) {
  return static_cast<const T&>(*message);
}
const config::Kind& KindOf(const Workspace& workspace, std::string_view word) {
  return *workspace.schema().Find(word);
}

bool Everywhere(const std::string& address) {
  return address.empty() || address == "::" || address == "0.0.0.0";
}

// Two listeners on one port would make one of them fail at the next start, silently for whoever
// changed it.
net::Task<absl::Status> ListenerPort(Workspace& workspace, const Workspace::Edit& edit,
                                     Wrong& wrong) {
  if (edit.after == nullptr) co_return absl::OkStatus();
  const auto& mine = As<v1::Listener>(edit.after);
  for (const auto& [name, message] : workspace.AllAfter(*edit.kind)) {
    const auto& other = As<v1::Listener>(message);
    const bool overlap = other.address() == mine.address() || Everywhere(other.address()) ||
                         Everywhere(mine.address());
    if (name == edit.name || !mine.enabled() || !other.enabled() || other.port() != mine.port() ||
        !overlap)
      continue;
    wrong.push_back(base::StrCat(edit.name, ": listener.port: ", mine.port(),
                                 " is taken by listener \"", name, "\""));
  }
  if (mine.tls() == v1::IMPLICIT && mine.protocol() == v1::LMTP) {
    wrong.push_back(base::StrCat(edit.name, ": listener.tls: LMTP knows STARTTLS only"));
  }
  co_return absl::OkStatus();
}

// The domain of an account or alias is one of ours.
net::Task<absl::Status> AddressInOurDomain(Workspace& workspace, const Workspace::Edit& edit,
                                           Wrong& wrong) {
  if (edit.after == nullptr) co_return absl::OkStatus();
  const size_t at = edit.name.rfind('@');
  if (at == std::string::npos) co_return absl::OkStatus();  // told by the field's own rule
  const std::string domain = edit.name.substr(at + 1);
  CO_ASSIGN_OR_RETURN(const Workspace::MessagePtr found,
                      co_await workspace.After(KindOf(workspace, "domain"), domain));
  if (found == nullptr)
    wrong.push_back(base::StrCat(edit.name, ": no domain \"", domain, "\" (add it first)"));
  co_return absl::OkStatus();
}

// Deleting a domain must not take mailboxes with it.
net::Task<absl::Status> DomainIsEmpty(Workspace& workspace, const Workspace::Edit& edit,
                                      Wrong& wrong) {
  if (edit.after != nullptr) co_return absl::OkStatus();
  for (const std::string_view word : {"account", "alias"}) {
    const config::Kind& kind = KindOf(workspace, word);
    CO_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                        co_await workspace.Names(kind, "@" + edit.name));
    for (const std::string& name : names) {
      CO_ASSIGN_OR_RETURN(const Workspace::MessagePtr left, co_await workspace.After(kind, name));
      if (left == nullptr) continue;
      wrong.push_back(
          base::StrCat("domain \"", edit.name, "\" still has ", word, " \"", name, "\""));
      break;
    }
  }
  co_return absl::OkStatus();
}

net::Task<absl::Status> CertificateLoads(Workspace&, const Workspace::Edit& edit, Wrong& wrong) {
  if (edit.after == nullptr) co_return absl::OkStatus();
  const auto& certificate = As<v1::Certificate>(edit.after);
  const auto context = net::TlsContext::Server({{certificate.chain(), certificate.key(), {}}});
  if (!context.ok())
    wrong.push_back(base::StrCat(edit.name, ": certificate: ", base::Message(context.status())));
  co_return absl::OkStatus();
}

// Somebody must be left who may change things.
net::Task<absl::Status> OneOwnerRemains(Workspace& workspace, const Workspace::Edit& edit,
                                        Wrong& wrong) {
  for (const auto& [name, message] : workspace.AllAfter(*edit.kind)) {
    if (As<v1::Administrator>(message).role() == v1::Administrator::OWNER)
      co_return absl::OkStatus();
  }
  wrong.push_back("the last administrator with the role OWNER must stay");
  co_return absl::OkStatus();
}

using Rule = net::Task<absl::Status> (*)(Workspace&, const Workspace::Edit&, Wrong&);
struct Row {
  std::string_view kind;
  Rule rule;
};
constexpr std::array<Row, 6> kRules = {{{"posthorn.config.v1.Listener", ListenerPort},
                                        {"posthorn.config.v1.Account", AddressInOurDomain},
                                        {"posthorn.config.v1.Alias", AddressInOurDomain},
                                        {"posthorn.config.v1.Domain", DomainIsEmpty},
                                        {"posthorn.config.v1.Certificate", CertificateLoads},
                                        {"posthorn.config.v1.Administrator", OneOwnerRemains}}};

}  // namespace

net::Task<absl::Status> CheckKindRules(Workspace& workspace, const Workspace::Edit& edit,
                                       Wrong& wrong) {
  for (const Row& row : kRules) {
    if (row.kind == edit.kind->full_name)
      CO_RETURN_IF_ERROR(co_await row.rule(workspace, edit, wrong));
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::admin_service
