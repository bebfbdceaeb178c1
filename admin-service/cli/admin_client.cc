#include "admin-service/cli/admin_client.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "admin-service/cli/prompt.h"
#include "admin-service/up/files.h"
#include "admin-service/up/layout.h"
#include "grpc/health/v1/health.pb.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

using Target = AdminClient::Target;

constexpr std::chrono::milliseconds kAskLimit{2000};
constexpr rpc::Method<grpc::health::v1::HealthCheckRequest, grpc::health::v1::HealthCheckResponse>
    kHealthCheck{"/grpc.health.v1.Health/Check"};

// --tls-cert DIR: as `posthorn certs` and cert-manager name the files, our own or all processes'.
rpc::Credentials::Files FilesIn(std::string dir) {
  if (access((dir + "/tls.crt").c_str(), F_OK) != 0) dir += "/cli";
  return {dir + "/tls.crt", dir + "/tls.key", dir + "/ca.crt"};
}

std::string ValueOf(const Arguments& arguments, const char* option, const char* variable) {
  return arguments.Has(option) ? arguments.Value(option) : Environment(variable);
}

bool HasCertificate(const Arguments& arguments) {
  return !ValueOf(arguments, "--tls-cert", "POSTHORN_TLS_CERT").empty();
}

// Null: no certificate was named.
absl::StatusOr<std::shared_ptr<rpc::Credentials>> Certificate(net::Loop& loop,
                                                              const Arguments& arguments) {
  const auto value = [&](const char* option, const char* variable) {
    return ValueOf(arguments, option, variable);
  };
  rpc::Credentials::Files files = {value("--tls-cert", "POSTHORN_TLS_CERT"),
                                   value("--tls-key", "POSTHORN_TLS_KEY"),
                                   value("--tls-ca", "POSTHORN_TLS_CA")};
  if (files.certificate.empty()) return nullptr;
  std::error_code ignored;
  if (std::filesystem::is_directory(files.certificate, ignored)) files = FilesIn(files.certificate);
  if (files.key.empty() || files.authorities.empty()) {
    return base::Invalid("--tls-cert FILE, --tls-key and --tls-ca go together");
  }
  return rpc::Credentials::Load(loop, std::move(files));
}

absl::StatusOr<Target> FindTarget(const Arguments& arguments) {
  std::string address = arguments.Value("--admin");
  if (address.empty() && !arguments.Has("--dir")) address = Environment("POSTHORN_ADMIN");
  if (!address.empty()) return Target{address, false};
  const std::string dir = Directory(arguments);
  const std::string socket = dir + "/run/admin.cli/sock";
  if (access(socket.c_str(), R_OK | W_OK) == 0) return Target{"unix:" + socket, true};
  // Who may look there and finds none would be asked for a password that nobody waits for.
  const bool none = errno == ENOENT && access((dir + "/run").c_str(), R_OK | X_OK) == 0;
  const auto endpoints = up::ReadFile(base::StrCat(dir, "/", up::kEndpointsFile));
  address = endpoints.ok() ? up::ReadVariable(*endpoints, "ADMIN_ADDRESS") : "";
  if (address.empty()) {
    return base::Unavailable(
        base::StrCat("posthorn is not up in ", dir, " (say --dir DIR or --admin ADDRESS)"));
  }
  if (none) return base::Unavailable(base::StrCat("admin-service does not run in ", dir));
  return Target{address, false};
}

absl::StatusOr<std::string> FirstLine(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, up::ReadFile(path));
  return std::string(base::Trim(text.substr(0, text.find('\n'))));
}

absl::StatusOr<std::string> Authorization(const Arguments& arguments, bool local) {
  if (arguments.Has("--token-file")) {
    ASSIGN_OR_RETURN(const std::string token, FirstLine(arguments.Value("--token-file")));
    return "Bearer " + token;
  }
  if (const std::string token = Environment("POSTHORN_TOKEN"); !token.empty())
    return "Bearer " + token;
  // Who logs in has nothing to show yet.
  const bool logs_in = !arguments.words.empty() && arguments.words.front() == "login";
  if (logs_in || (local && !arguments.Has("--user"))) return std::string();
  const std::string user = arguments.Has("--user") ? arguments.Value("--user") : "admin";
  ASSIGN_OR_RETURN(const std::string password, AdministratorsPassword(arguments, user));
  return "Basic " + base::Base64(base::StrCat(user, ":", password));
}

}  // namespace

std::string Directory(const Arguments& arguments) {
  if (arguments.Has("--dir")) return arguments.Value("--dir");
  const std::string dir = Environment("POSTHORN_DIR");
  return dir.empty() ? up::Options().dir : dir;
}

absl::StatusOr<std::string> AdministratorsPassword(const Arguments& arguments,
                                                   const std::string& user) {
  if (arguments.Has("--password-file")) return FirstLine(arguments.Value("--password-file"));
  const std::string password = Environment("POSTHORN_PASSWORD");
  if (!password.empty()) return password;
  return AskPassword(base::StrCat("Password of administrator ", user, ": "));
}

AdminClient::AdminClient(std::string target, std::chrono::milliseconds limit)
    : target_(std::move(target)), limit_(limit) {}

// Any answer will do, also that it is not ready: then it says itself what is wrong.
net::Task<void> AdminClient::Ask(bool* answers) {
  const auto reply = co_await client_->Call(kHealthCheck, Limit(kAskLimit),
                                            grpc::health::v1::HealthCheckRequest());
  *answers = !absl::IsUnavailable(reply.status()) && !absl::IsDeadlineExceeded(reply.status());
  loop_.Stop();
}

bool AdminClient::Answers() {
  bool answers = false;
  loop_.Spawn("cli.ask", Ask(&answers));
  loop_.Run();
  return answers;
}

absl::StatusOr<std::unique_ptr<AdminClient>> AdminClient::Connect(const Arguments& arguments,
                                                                  std::chrono::milliseconds limit) {
  ASSIGN_OR_RETURN(Target target, FindTarget(arguments));
  const std::string all = std::exchange(target.address, {});
  const std::vector<std::string_view> targets = base::Split(all, ',');
  for (const std::string_view each : targets) {
    target.address = base::Trim(each);
    if (targets.size() == 1) break;
    ASSIGN_OR_RETURN(const auto asker, ConnectTo(target, arguments, "", limit));
    if (asker->Answers()) break;
  }
  // A certificate of the command line says enough.
  const bool certified = !target.address.starts_with("unix:") && HasCertificate(arguments);
  ASSIGN_OR_RETURN(std::string authorization, Authorization(arguments, target.local || certified));
  return ConnectTo(target, arguments, std::move(authorization), limit);
}

absl::StatusOr<std::unique_ptr<AdminClient>> AdminClient::ConnectTo(
    const Target& target, const Arguments& arguments, std::string authorization,
    std::chrono::milliseconds limit) {
  std::unique_ptr<AdminClient> out(new AdminClient(target.address, limit));
  rpc::Client::Options options;
  options.target = target.address;
  options.process = "admin-service";
  options.authorization = std::move(authorization);
  if (!target.address.starts_with("unix:")) {
    ASSIGN_OR_RETURN(options.credentials, Certificate(out->loop_, arguments));
  }
  out->client_ = rpc::Client::Create(out->loop_, std::move(options));
  return out;
}

absl::StatusOr<const config::Schema*> AdminClient::schema() {
  if (!schema_) {
    ASSIGN_OR_RETURN(const admin::v1::SchemaReply reply,
                     Call(rpc::admin::kConfigSchema, admin::v1::SchemaRequest()));
    ASSIGN_OR_RETURN(schema_, config::Schema::FromFileSet(reply.file_descriptor_set()));
  }
  return schema_.get();
}

}  // namespace posthorn::cli
