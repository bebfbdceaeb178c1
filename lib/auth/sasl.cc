#include "lib/auth/sasl.h"

#include <optional>
#include <vector>

#include "lib/base/strings.h"

namespace posthorn::auth {
namespace {

// [RFC4616 2] message = [authzid] UTF8NUL authcid UTF8NUL passwd
class PlainServer final : public SaslServer {
 public:
  SaslStep Next(std::string_view response, HasResponse has_response) override {
    if (has_response == HasResponse::kNo) return SendChallenge{};
    const std::vector<std::string_view> parts = base::Split(response, '\0');
    if (parts.size() != 3 || parts[1].empty() || parts[2].empty()) return Malformed{};
    // Nobody may act as another by PLAIN.
    if (!parts[0].empty() && !base::EqualsIgnoreCase(parts[0], parts[1])) return Malformed{};
    return CheckPassword{std::string(parts[1]), std::string(parts[2])};
  }
};

// draft-murchison-sasl-login: "User Name" and "Password" prompts, as Outlook and old devices want
// them.
class LoginServer final : public SaslServer {
 public:
  SaslStep Next(std::string_view response, HasResponse has_response) override {
    if (has_response == HasResponse::kNo) return SendChallenge{"Username:"};
    if (response.empty() || response.find('\0') != std::string_view::npos) return Malformed{};
    if (login_.empty()) {
      login_ = std::string(response);
      return SendChallenge{"Password:"};
    }
    return CheckPassword{login_, std::string(response)};
  }

 private:
  std::string login_;
};

class ScramMechanism final : public SaslServer {
 public:
  explicit ScramMechanism(std::string channel_binding) : scram_(std::move(channel_binding)) {}

  SaslStep Next(std::string_view response, HasResponse has_response) override {
    if (has_response == HasResponse::kNo) return SendChallenge{};
    if (login_.empty()) return First(response);
    if (!challenged_) return Malformed{};
    absl::StatusOr<std::string> last = scram_.Final(response);
    if (last.ok()) return Proved{login_, *std::move(last)};
    if (last.status().code() == absl::StatusCode::kUnauthenticated) return Disproved{login_};
    return Malformed{};
  }

  SaslStep GiveVerifier(ScramVerifier verifier) override {
    challenged_ = true;
    return SendChallenge{scram_.Challenge(std::move(verifier))};
  }

 private:
  SaslStep First(std::string_view response) {
    absl::StatusOr<std::string> login = scram_.First(response);
    if (!login.ok()) return Malformed{};
    login_ = *std::move(login);
    return NeedVerifier{login_};
  }

  ScramServer scram_;
  std::string login_;
  bool challenged_ = false;
};

}  // namespace

SaslStep SaslServer::GiveVerifier(ScramVerifier) { return Malformed{}; }

std::unique_ptr<SaslServer> MakeSaslServer(std::string_view mechanism,
                                           std::string channel_binding) {
  if (base::EqualsIgnoreCase(mechanism, "PLAIN")) return std::make_unique<PlainServer>();
  if (base::EqualsIgnoreCase(mechanism, "LOGIN")) return std::make_unique<LoginServer>();
  if (base::EqualsIgnoreCase(mechanism, "SCRAM-SHA-256")) {
    // [RFC5802 6] without -PLUS the client may say "y" only when no binding was offered.
    return std::make_unique<ScramMechanism>(std::move(channel_binding));
  }
  if (base::EqualsIgnoreCase(mechanism, "SCRAM-SHA-256-PLUS") && !channel_binding.empty()) {
    return std::make_unique<ScramMechanism>(std::move(channel_binding));
  }
  return nullptr;
}

}  // namespace posthorn::auth
