// posthorn: administers an installation, and runs one on this machine.

#include <filesystem>
#include <iostream>

#include "admin-service/cli/certs_command.h"
#include "admin-service/cli/commands.h"
#include "admin-service/cli/completion.h"
#include "admin-service/cli/probe.h"
#include "admin-service/up/commands.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/process/grpc_log.h"
#include "lib/process/version.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::cli {
namespace {

constexpr std::chrono::milliseconds kLimit{60000};
constexpr std::chrono::milliseconds kCompletionLimit{1000};
// Exit codes; in docs/operators.md.
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kAway = 3;
constexpr int kNotAllowed = 4;

int Help(std::ostream& out) {
  out << "posthorn COMMAND …\n\n";
  for (const Command& command : Commands()) {
    out << "  " << command.word << " " << command.usage << "\n      " << command.help << "\n";
  }
  out << "  up [--dir DIR] [--port-base N] [--bind ADDR] [--detach] [--demo] [--users auto|yes|no] "
         "[--log LEVEL]\n"
         "     [--database URL …] [--blobs DIR|s3://… …]\n"
         "      all processes on this machine; ports are N + the standard ones. As root each "
         "becomes its own user\n"
         "      (--users yes demands it; see docs/operators.md). --database…, --key-file, --blobs "
         "and "
         "--s3-… are store-service's\n"
         "  down [--dir DIR]\n      ends them\n  "
      << kCertsUsage
      << "\n      a private authority and a certificate for each process, for connections over "
         "TCP\n  "
      << kProbeUsage
      << "\n      whether the process with that health port is ready; 1 says what is missing\n"
         "  completion bash\n      for your ~/.bashrc\n\n"
         "Which installation: --dir DIR (POSTHORN_DIR) or --admin ADDRESS (POSTHORN_ADMIN).\n"
         "Who you are, over an ADDRESS: --user NAME with POSTHORN_PASSWORD, --password-file or a "
         "prompt; or\n"
         "POSTHORN_TOKEN or --token-file; or a certificate: --tls-cert FILE --tls-key FILE "
         "--tls-ca "
         "FILE\nor --tls-cert DIR (POSTHORN_TLS_CERT). Output: --output table|json|yaml. Why: "
         "--reason TEXT is "
         "kept with a change.\n"
         "Exit codes: 0 done, 1 refused or something is wrong, 2 mistyped, 3 not reachable, 4 not "
         "allowed.\n";
  return 0;
}

int CommandHelp(const std::string& word) {
  for (const Command& command : Commands()) {
    if (command.word != word) continue;
    std::cout << "posthorn " << command.word << " " << command.usage << "\n  " << command.help
              << "\n";
    return 0;
  }
  return Help(std::cout);
}

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  if (!base::Message(status).empty()) std::cerr << "posthorn: " << base::Message(status) << "\n";
  if (IsUsageError(status)) return kUsage;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) return kAway;
  if (absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)) return kNotAllowed;
  return kFailed;
}

absl::StatusOr<up::Options> UpOptions(const Arguments& arguments) {
  up::Options options;
  options.dir = Directory(arguments);
  if (arguments.Has("--port-base")) {
    const auto port = base::ParseInt<int>(arguments.Value("--port-base"));
    if (!port || *port < 1024 || *port > up::kHighestPortBase)
      return UsageError(base::StrCat("--port-base takes 1024 to ", up::kHighestPortBase));
    options.port_base = *port;
  }
  options.bind = arguments.Value("--bind");
  options.detach = arguments.Has("--detach");
  options.demo = arguments.Has("--demo");
  const std::string users = arguments.Value("--users");
  if (users == "yes") options.users = up::Options::Users::kYes;
  if (users == "no") options.users = up::Options::Users::kNo;
  if (!users.empty() && users != "yes" && users != "no" && users != "auto")
    return UsageError("--users takes auto, yes or no");
  if (arguments.Has("--log")) options.log = arguments.Value("--log");
  for (const std::string& flag : up::StoreFlags()) {
    if (!arguments.Has(flag)) continue;
    std::string value = arguments.Value(flag);
    // The store's folder is another one than this command's.
    const bool folder = flag == "--blobs" && !value.starts_with("s3://");
    if (folder || flag.ends_with("-file") || flag.ends_with("-ca"))
      value = std::filesystem::absolute(value).string();
    options.store_flags.insert(options.store_flags.end(), {flag, value});
  }
  const std::string only = arguments.Value("--processes");
  for (const std::string_view name : base::Split(only, ',')) {
    if (!name.empty()) options.processes.emplace_back(name);
  }
  return options;
}

int RunUp(const Arguments& arguments) {
  const absl::StatusOr<up::Options> options = UpOptions(arguments);
  return options.ok() ? up::Up(*options) : Report(options.status());
}

// Never fails and never asks: a shell waits for it.
int RunCompletion(std::vector<std::string> words) {
  // The word under the cursor may look like an option that is not finished.
  const std::string last = words.empty() ? "" : words.back();
  if (!words.empty()) words.pop_back();
  absl::StatusOr<Arguments> arguments = ParseArguments(words);
  if (!arguments.ok()) return 0;
  arguments->words.push_back(last);
  std::unique_ptr<AdminClient> admin;
  const auto connect = [&]() -> AdminClient* {
    if (!admin) {
      auto made = AdminClient::Connect(*arguments, kCompletionLimit);
      if (made.ok()) admin = *std::move(made);
    }
    return admin.get();
  };
  const Knowledge knowledge{
      [&]() -> const config::Schema* {
        AdminClient* client = connect();
        const auto schema = client
                                ? client->schema()
                                : absl::StatusOr<const config::Schema*>(absl::UnavailableError(""));
        return schema.ok() ? *schema : nullptr;
      },
      [&](const std::string& kind, const std::string& begin) {
        std::vector<std::string> names;
        admin::v1::ListRequest request;
        request.set_kind(kind);
        request.set_match(begin);
        request.set_limit(200);
        AdminClient* client = connect();
        if (client == nullptr) return names;
        const auto reply = client->Call(rpc::admin::kConfigList, std::move(request));
        for (int i = 0; reply.ok() && i < reply->objects_size(); ++i)
          names.push_back(reply->objects(i).name());
        return names;
      }};
  for (const std::string& candidate : Complete(arguments->words, knowledge))
    std::cout << candidate << "\n";
  return 0;
}

absl::Status RunCommand(const Command& command, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::unique_ptr<AdminClient> admin,
                   AdminClient::Connect(arguments, kLimit));
  const absl::Status status = command.run(
      *admin,
      {arguments, std::vector<std::string>(arguments.words.begin() + 1, arguments.words.end())});
  // Or it does, and says who else is away.
  if (absl::IsUnavailable(status) && !admin->Answers()) {
    return base::Unavailable(base::StrCat("admin-service does not answer at ", admin->target(),
                                          ": ", base::Message(status)));
  }
  return status;
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  observe::SetUpLog("posthorn", observe::Level::kError);
  process::SetUpGrpcLog();  // what matters comes back as a call's status
  if (!words.empty() && words[0] == "__complete")
    return RunCompletion({words.begin() + 1, words.end()});
  const absl::StatusOr<Arguments> arguments = ParseArguments(words);
  if (!arguments.ok()) return Report(UsageError(base::Message(arguments.status())));
  if (arguments->Has("--version")) {
    std::cout << "posthorn " << process::Version() << "\n";
    return 0;
  }
  if (arguments->words.empty())
    return arguments->Has("--help") ? Help(std::cout) : (Help(std::cerr), kUsage);
  const std::string& word = arguments->words[0];
  if (word == "help")
    return arguments->words.size() > 1 ? CommandHelp(arguments->words[1]) : Help(std::cout);
  if (arguments->Has("--help")) return CommandHelp(word);
  if (word == "up") return RunUp(*arguments);
  if (word == "down") return up::Down(Directory(*arguments));
  if (word == "certs") return Report(CertsCommand(*arguments));
  if (word == "probe") return Report(ProbeCommand(*arguments));
  if (word == "completion") {
    std::cout << BashCompletion();
    return 0;
  }
  std::vector<std::string> known = {"up", "down", "certs", "probe", "completion", "help"};
  for (const Command& command : Commands()) {
    if (command.word == word) {
      const absl::Status status = RunCommand(command, *arguments);
      if (IsUsageError(status))
        std::cerr << "usage: posthorn " << command.word << " " << command.usage << "\n";
      return Report(status);
    }
    known.emplace_back(command.word);
  }
  const std::string nearest = config::Nearest(word, known);
  return Report(UsageError(base::StrCat("unknown command \"", word, "\"",
                                        nearest.empty()
                                            ? " (try posthorn help)"
                                            : base::StrCat("; did you mean \"", nearest, "\"?"))));
}

}  // namespace
}  // namespace posthorn::cli

int main(int argc, char** argv) { return posthorn::cli::Main(argc, argv); }
