#include "admin-service/service/authority.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdlib>

#include "lib/auth/hmac.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

constexpr int64_t kTokenSeconds = 12 * 3600;
constexpr std::chrono::seconds kRemember{60};
constexpr size_t kMaxRemembered = 1000;
// Which of name and password was wrong is never said.
constexpr std::string_view kWrong = "wrong name or password";

absl::Status Unauthenticated(std::string_view why) {
  return base::Error(absl::StatusCode::kUnauthenticated, why);
}

}  // namespace

std::string Authority::Sign(std::string_view text) const { return auth::HmacSha256(key_, text); }

absl::StatusOr<Caller> Authority::FindAdministrator(const std::string& name) const {
  const config::Kind& kind = *schema_.Find("posthorn.config.v1.Administrator");
  const StoredObject* object = models_.current()->Find(kind, name);
  if (object == nullptr) return Unauthenticated(kWrong);
  const auto& administrator = static_cast<const config::v1::Administrator&>(*object->value);
  return Caller{name, administrator.role() == config::v1::Administrator::OWNER};
}

uint64_t Authority::RevisionOf(const std::string& name) const {
  const StoredObject* object =
      models_.current()->Find(*schema_.Find("posthorn.config.v1.Administrator"), name);
  return object == nullptr ? 0 : object->revision;
}

net::Task<absl::StatusOr<Caller>> Authority::Identify(rpc::CallContext context) {
  // Only the operator's own user may open that socket (its file's mode says so).
  if (context.role == "cli" && context.authorization.empty()) co_return Caller{"local", true};
  constexpr std::string_view kBasic = "basic ";
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view text = context.authorization;
  if (base::StartsWithIgnoreCase(text, kBearer))
    co_return CheckToken(base::Trim(text.substr(kBearer.size())));
  if (!base::StartsWithIgnoreCase(text, kBasic)) {
    co_return Unauthenticated("expected metadata \"authorization: Basic …\" or \"Bearer …\"");
  }
  const std::optional<std::string> pair = base::UnBase64(base::Trim(text.substr(kBasic.size())));
  const size_t colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos) co_return Unauthenticated("malformed Basic authorization");
  co_return co_await CheckPassword(pair->substr(0, colon), pair->substr(colon + 1));
}

net::Task<absl::StatusOr<Caller>> Authority::IdentifyOwner(rpc::CallContext context) {
  CO_ASSIGN_OR_RETURN(Caller caller, co_await Identify(std::move(context)));
  if (!caller.owner) co_return base::Denied(base::StrCat(caller.name, " may read, not change"));
  co_return caller;
}

net::Task<absl::StatusOr<Caller>> Authority::CheckPassword(std::string name, std::string password) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(remembered_, [now](const auto& entry) { return entry.second < now; });
  const std::string mark =
      Sign(base::StrCat("password\n", name, "\n", RevisionOf(name), "\n", password));
  if (!remembered_.contains(mark)) {
    CO_ASSIGN_OR_RETURN(const bool right, co_await store_.CheckAdministrator(name, password));
    if (!right) {
      observe::Warning("admin.login_failed", {{"name", name}});
      co_return Unauthenticated(kWrong);
    }
    if (remembered_.size() < kMaxRemembered) remembered_[mark] = now + kRemember;
  }
  // An administrator that was just made may be newer than our model.
  if (RevisionOf(name) == 0) CO_RETURN_IF_ERROR(co_await models_.Refresh());
  co_return FindAdministrator(name);
}

net::Task<absl::StatusOr<Authority::Token>> Authority::Login(std::string name,
                                                             std::string password) {
  CO_ASSIGN_OR_RETURN(const Caller caller, co_await CheckPassword(name, std::move(password)));
  Token token;
  token.expires = base::WallSeconds() + kTokenSeconds;
  const std::string body =
      base::StrCat(base::Hex(caller.name), ".", RevisionOf(caller.name), ".", token.expires);
  token.text = base::StrCat(body, ".", base::Hex(Sign("token\n" + body)));
  co_return token;
}

absl::StatusOr<Caller> Authority::CheckToken(std::string_view token) const {
  const size_t dot = token.rfind('.');
  const auto parts = base::Split(token.substr(0, dot == std::string_view::npos ? 0 : dot), '.');
  if (parts.size() != 3) return Unauthenticated("malformed token");
  const std::string expected = base::Hex(Sign(base::StrCat("token\n", token.substr(0, dot))));
  if (!auth::SameBytes(expected, token.substr(dot + 1))) return Unauthenticated("wrong token");
  const std::optional<std::string> name = base::UnHex(parts[0]);
  const std::optional<int64_t> expires = base::ParseInt<int64_t>(parts[2]);
  if (!name || !expires || *expires < base::WallSeconds())
    return Unauthenticated("the token has expired: log in again");
  if (base::StrCat(RevisionOf(*name)) != parts[1])
    return Unauthenticated("the administrator was changed: log in again");
  return FindAdministrator(*name);
}

std::string RandomBytes(size_t bytes) {
  std::string out(bytes, '\0');
  if (getrandom(out.data(), out.size(), 0) != static_cast<ssize_t>(out.size()))
    std::abort();  // never for < 256 bytes
  return out;
}

std::string RandomPassword() {
  constexpr std::string_view kLetters = "abcdefghijkmnpqrstuvwxyz23456789";
  std::string out;
  for (const char c : RandomBytes(20))
    out.push_back(kLetters[static_cast<unsigned char>(c) % kLetters.size()]);
  return out;
}

absl::StatusOr<std::string> LoadOrMakeKey(const std::string& path) {
  char buffer[64];
  const int old = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (old >= 0) {
    const ssize_t size = read(old, buffer, sizeof(buffer));
    close(old);
    if (size >= 32) return std::string(buffer, static_cast<size_t>(size));
  }
  const std::string key = RandomBytes(32);
  const std::string beside = path + ".new";
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return base::Unavailable("cannot write " + path);
  const bool written = write(fd, key.data(), key.size()) == static_cast<ssize_t>(key.size());
  close(fd);
  if (!written || rename(beside.c_str(), path.c_str()) != 0)
    return base::Unavailable("cannot write " + path);
  return key;
}

}  // namespace posthorn::admin_service
