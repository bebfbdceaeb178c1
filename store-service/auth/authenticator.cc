#include "store-service/auth/authenticator.h"

#include "lib/auth/password_hash.h"
#include "lib/base/strings.h"
#include "lib/mail/address.h"
#include "lib/observe/log.h"
#include "store-service/directory/resolve.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kAdministratorKind = "posthorn.config.v1.Administrator";
constexpr std::string_view kPassword = "password";

struct Compared {
  auth::PasswordMatch match = auth::PasswordMatch::kMismatch;
  std::optional<Credential> fresh;  // to be stored instead
};

// On the hash pool. A right password is the chance to renew an old hash and to make a missing
// verifier.
Compared CompareNow(const std::optional<Credential>& credential, const std::string& password) {
  if (!credential) {
    auth::VerifyNothing(password);
    return {};
  }
  Compared result{auth::VerifyPassword(credential->hash, password), {}};
  const bool old_form = result.match == auth::PasswordMatch::kMatchOldForm;
  if (!old_form && (result.match != auth::PasswordMatch::kMatch || !credential->scram.empty()))
    return result;
  Credential fresh = *credential;
  if (old_form) {
    if (auto hash = auth::HashPassword(password); hash.ok()) fresh.hash = *std::move(hash);
  }
  if (auto verifier = auth::ScramVerifier::Make(password); verifier.ok())
    fresh.scram = verifier->ToString();
  result.fresh = std::move(fresh);
  return result;
}

}  // namespace

const AccountRecord* Authenticator::Find(std::string_view login) const {
  const std::optional<std::string> address = mail::NormalAddress(login);
  return address ? FindLogin(configuration_.model(), *address) : nullptr;
}

net::Task<Authenticator::Match> Authenticator::Compare(CredentialOwner owner, bool exists,
                                                       std::string password) {
  std::optional<Credential> credential;
  if (exists) {
    auto found = co_await configuration_.FindCredential(owner);
    if (!found.ok()) co_return Match::kTemporary;
    credential = *std::move(found);
  }
  const std::string seen = credential ? credential->hash : "";
  absl::StatusOr<Compared> compared = co_await configuration_.hash_pool().Run(
      [credential = std::move(credential), password = std::move(password)] {
        return CompareNow(credential, password);
      });
  if (!compared.ok() || compared->match == auth::PasswordMatch::kFailed)
    co_return Match::kTemporary;
  if (compared->fresh) configuration_.RefreshCredential(owner, seen, *std::move(compared->fresh));
  if (compared->match == auth::PasswordMatch::kUnknownForm) {
    observe::Warning("auth.unknown_hash", {{"kind", owner.kind}, {"owner", owner.owner}});
  }
  const bool yes = compared->match == auth::PasswordMatch::kMatch ||
                   compared->match == auth::PasswordMatch::kMatchOldForm;
  co_return yes ? Match::kYes : Match::kNo;
}

Login Authenticator::For(const AccountRecord& account, std::string_view protocol) const {
  const Model& model = configuration_.model();
  const AccountFacts facts = model.Facts(account.id);
  Login login;
  if (facts.state != AccountState::kActive) {
    login.outcome = LoginOutcome::kRefused;
    return login;
  }
  login.outcome = LoginOutcome::kSuccess;
  login.account = account.id;
  login.address = AddressOf(model, account);
  login.may_send_as = model.AddressesOf(account);
  login.version = model.VersionOf(account.id);
  login.ticket = signer_.Issue({.account = account.id,
                                .address = login.address,
                                .protocol = std::string(protocol),
                                .session_version = facts.session_version,
                                .revision = facts.revision});
  return login;
}

net::Task<Login> Authenticator::CheckPassword(std::string login, std::string password,
                                              std::string protocol) {
  // A login is remembered for minutes by who asked: it must not be older than what that one was
  // told of the account.
  if (!(co_await configuration_.CatchUp()).ok())
    co_return Login{.outcome = LoginOutcome::kTemporary};
  const AccountRecord* account = Find(login);
  const bool exists = account != nullptr;
  Login result = exists ? For(*account, protocol) : Login{};
  const CredentialOwner owner = OwnerOf(kAccountKind, exists ? account->id : 0, "", kPassword);
  // `account` may be gone after this.
  switch (co_await Compare(owner, exists, std::move(password))) {
    case Match::kYes:
      co_return result;
    case Match::kNo:
      co_return Login{};
    case Match::kTemporary:
      co_return Login{.outcome = LoginOutcome::kTemporary};
  }
  co_return Login{};
}

net::Task<std::optional<auth::ScramVerifier>> Authenticator::VerifierOf(std::string login) {
  if (!(co_await configuration_.CatchUp()).ok()) co_return std::nullopt;
  const AccountRecord* account = Find(login);
  if (account != nullptr) {
    const auto found =
        co_await configuration_.FindCredential(OwnerOf(kAccountKind, account->id, "", kPassword));
    if (!found.ok()) co_return std::nullopt;
    if (*found) {
      if (auto verifier = auth::ScramVerifier::Parse((*found)->scram)) co_return verifier;
    }
  }
  co_return auth::ScramVerifier::Fake(configuration_.box().Derive("scram"), base::Lower(login));
}

Login Authenticator::Accept(std::string_view login, std::string_view protocol) const {
  const AccountRecord* account = Find(login);
  return account != nullptr ? For(*account, protocol) : Login{};
}

net::Task<absl::StatusOr<bool>> Authenticator::CheckAdministrator(std::string name,
                                                                  std::string password) {
  const CredentialOwner owner = OwnerOf(kAdministratorKind, 0, name, kPassword);
  switch (co_await Compare(owner, true, std::move(password))) {
    case Match::kYes:
      co_return true;
    case Match::kNo:
      co_return false;
    case Match::kTemporary:
      co_return base::Unavailable("too many logins");
  }
  co_return false;
}

absl::StatusOr<Login> Authenticator::IssueTicket(std::string_view address,
                                                 std::string_view protocol) const {
  const AccountRecord* account = Find(address);
  if (account == nullptr) return base::NotFound("no such account");
  return For(*account, protocol);
}

}  // namespace posthorn::store_service
