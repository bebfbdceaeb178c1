#include <chrono>
#include <iostream>
#include <optional>
#include <set>
#include <thread>

#include "admin-service/cli/commands.h"
#include "admin-service/cli/prompt.h"
#include "admin-service/cli/render.h"
#include "admin-service/cli/status_text.h"
#include "admin-service/cli/story.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/config/units.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::cli {
namespace {

constexpr std::chrono::milliseconds kAskAgain{50};

// True when it was printed as JSON, as --output json or yaml ask (JSON is YAML).
absl::StatusOr<bool> PrintedAsJson(const Call& call, const google::protobuf::Message& reply) {
  ASSIGN_OR_RETURN(const Output output, OutputOf(call.arguments));
  if (output == Output::kTable) return false;
  std::cout << Json(reply);
  return true;
}

absl::Status QueueList(AdminClient& admin, const Call& call, const std::string& match) {
  admin::v1::QueueListRequest request;
  request.set_match(match);
  request.set_limit(base::ParseInt<uint32_t>(call.arguments.Value("--limit")).value_or(200));
  ASSIGN_OR_RETURN(const admin::v1::QueueListReply reply,
                   admin.Call(rpc::admin::kOperationsQueueList, std::move(request)));
  // For scripts, as with status: who did not answer is named here, and may hold more.
  const absl::Status all =
      reply.problems().empty() ? absl::OkStatus() : absl::FailedPreconditionError("");
  ASSIGN_OR_RETURN(const bool printed, PrintedAsJson(call, reply));
  if (printed) return all;
  for (const std::string& problem : reply.problems()) std::cerr << problem << "\n";
  if (reply.lines().empty()) {
    std::cout << (all.ok() ? "the queue is empty\n" : "the queues that answer are empty\n");
    return all;
  }
  std::vector<std::vector<std::string>> rows;
  std::set<std::string> replicas;
  for (const admin::v1::QueueLine& line : reply.lines()) {
    replicas.insert(line.replica());
    const uint64_t age =
        static_cast<uint64_t>(std::max<int64_t>(0, base::WallMillis() - line.received_ms())) / 1000;
    rows.push_back({line.message_id(), AgeText(age), line.sender().empty() ? "<>" : line.sender(),
                    line.recipient(), line.state(), base::StrCat(line.attempts()),
                    line.next_attempt_ms() > 0 ? TimeText(line.next_attempt_ms()) : "",
                    line.last_reply(), line.replica()});
  }
  std::vector<std::string> titles = {"MESSAGE", "AGE",  "FROM",       "TO",   "STATE",
                                     "TRIES",   "NEXT", "LAST REPLY", "QUEUE"};
  if (replicas.size() < 2) {
    titles.pop_back();
    for (std::vector<std::string>& row : rows) row.pop_back();
  }
  std::cout << Table(titles, rows);
  if (reply.more()) std::cout << "and more (--limit)\n";
  return all;
}

// Asks until nothing starts any more; at most as long as --wait says, once without it.
absl::StatusOr<admin::v1::StatusReply> SettledStatus(AdminClient& admin, const Call& call) {
  std::optional<uint64_t> limit = 0;
  if (call.arguments.Has("--wait")) limit = config::ParseDuration(call.arguments.Value("--wait"));
  if (!limit) return UsageError("--wait takes how long at most: 30s, 2m");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(*limit);
  for (;;) {
    auto reply = admin.Call(rpc::admin::kOperationsStatus, admin::v1::StatusRequest());
    if (!reply.ok() || Starting(*reply) == 0 || std::chrono::steady_clock::now() >= end)
      return reply;
    std::this_thread::sleep_for(kAskAgain);
  }
}

// "2h" ago, or milliseconds since 1970; 0 when not given.
absl::StatusOr<int64_t> TimeOption(const Call& call, const std::string& option) {
  if (!call.arguments.Has(option)) return 0;
  const auto ago = config::ParseDuration(call.arguments.Value(option));
  if (!ago) return UsageError(base::StrCat(option, " takes how long ago: 30m, 2h, 7d"));
  return base::WallMillis() - static_cast<int64_t>(*ago) * 1000;
}

}  // namespace

absl::Status StatusCommand(AdminClient& admin, const Call& call) {
  ASSIGN_OR_RETURN(const admin::v1::StatusReply reply, SettledStatus(admin, call));
  ASSIGN_OR_RETURN(const bool printed, PrintedAsJson(call, reply));
  if (!printed) std::cout << StatusText(reply);
  // For scripts: a status with problems is not a success. They were printed already.
  return reply.problems().empty() ? absl::OkStatus() : absl::FailedPreconditionError("");
}

absl::Status QueueCommand(AdminClient& admin, const Call& call) {
  const std::string action = call.words.empty() ? "list" : call.words[0];
  const std::vector<std::string> rest(call.words.begin() + (call.words.empty() ? 0 : 1),
                                      call.words.end());
  const std::string match = call.arguments.Value("--match");
  if (action == "list") return QueueList(admin, call, rest.empty() ? match : rest[0]);
  if (rest.empty() && match.empty())
    return UsageError("expected message ids, or --match TEXT (* for all)");
  admin::v1::QueueActRequest request;
  request.set_action(action);
  request.set_match(match);
  request.mutable_message_ids()->Add(rest.begin(), rest.end());
  ASSIGN_OR_RETURN(const admin::v1::QueueActReply reply,
                   admin.Call(rpc::admin::kOperationsQueueAct, std::move(request)));
  std::cout << action << ": " << reply.affected() << " messages\n";
  return absl::OkStatus();
}

absl::Status TraceCommand(AdminClient& admin, const Call& call) {
  if (call.words.empty())
    return UsageError("expected a message id, an address or words of the subject");
  admin::v1::TraceRequest request;
  request.set_what(base::Join(call.words, " "));
  ASSIGN_OR_RETURN(const int64_t from, TimeOption(call, "--from"));
  ASSIGN_OR_RETURN(const int64_t to, TimeOption(call, "--to"));
  request.set_from_ms(from);
  request.set_to_ms(to);
  request.set_limit(base::ParseInt<uint32_t>(call.arguments.Value("--limit")).value_or(1000));
  ASSIGN_OR_RETURN(const admin::v1::TraceReply reply,
                   admin.Call(rpc::admin::kOperationsTrace, std::move(request)));
  ASSIGN_OR_RETURN(const bool printed, PrintedAsJson(call, reply));
  if (!printed) std::cout << Story(reply);
  return reply.events().empty() ? base::NotFound("") : absl::OkStatus();
}

absl::Status PasswdCommand(AdminClient& admin, const Call& call) {
  if (call.words.empty() || call.words.size() > 2)
    return UsageError("expected [account|administrator] NAME");
  const std::string& name = call.words.back();
  admin::v1::SetPasswordRequest request;
  const bool address = name.find('@') != std::string::npos;
  request.set_kind(call.words.size() == 2 ? call.words[0] : address ? "account" : "administrator");
  request.set_name(name);
  ASSIGN_OR_RETURN(const std::string password,
                   AskPassword(base::StrCat("New password of ", name, ": ")));
  request.set_password(password);
  const auto reply = admin.Call(rpc::admin::kOperationsSetPassword, std::move(request));
  if (!reply.ok()) return reply.status();
  std::cout << "password of " << name << " set\n";
  return absl::OkStatus();
}

namespace {

absl::Status ListJournals(AdminClient& admin, const Call& call) {
  ASSIGN_OR_RETURN(const admin::v1::JournalsReply reply,
                   admin.Call(rpc::admin::kOperationsJournals, admin::v1::JournalsRequest()));
  ASSIGN_OR_RETURN(const bool printed, PrintedAsJson(call, reply));
  if (printed) return absl::OkStatus();
  for (const auto& journal : reply.journals()) {
    std::cout << journal.id() << "  " << (journal.connected() ? "connected" : "away     ") << "  "
              << journal.description() << "\n";
  }
  return absl::OkStatus();
}

absl::Status ForgetJournal(AdminClient& admin, const Call& call) {
  admin::v1::ForgetJournalRequest request;
  request.set_id(call.words[1]);
  ASSIGN_OR_RETURN(const admin::v1::ForgetJournalReply reply,
                   admin.Call(rpc::admin::kOperationsForgetJournal, std::move(request)));
  std::cout << "journal " << reply.description() << " forgotten\n";
  return absl::OkStatus();
}

}  // namespace

absl::Status StoreCommand(AdminClient& admin, const Call& call) {
  const std::string verb = call.words.empty() ? "" : call.words[0];
  if (verb == "journals" && call.words.size() == 1) return ListJournals(admin, call);
  if (verb == "forget-journal" && call.words.size() == 2) return ForgetJournal(admin, call);
  if (verb == "migrate" && call.words.size() == 1) return StoreMigrate(admin, call);
  if (verb != "check" || call.words.size() != 1)
    return UsageError("expected check, journals, forget-journal ID or migrate --to URL");
  admin::v1::StoreCheckRequest request;
  request.set_repair(call.arguments.Has("--repair"));
  uint64_t problems = 0;
  const absl::Status status =
      admin.Stream<admin::v1::StoreCheckRequest, admin::v1::StoreCheckReply>(
          rpc::admin::kOperationsStoreCheck, std::move(request),
          [&](const admin::v1::StoreCheckReply& line) {
            if (!line.line().empty())
              std::cout << (line.problem() ? "PROBLEM: " : "") << line.line() << std::endl;
            problems = std::max(problems, line.problems());
          });
  if (!status.ok()) return status;
  return problems == 0 ? absl::OkStatus() : absl::FailedPreconditionError("");
}

absl::Status LoginCommand(AdminClient& admin, const Call& call) {
  admin::v1::LoginRequest request;
  request.set_name(call.arguments.Has("--user") ? call.arguments.Value("--user") : "admin");
  ASSIGN_OR_RETURN(const std::string password,
                   AdministratorsPassword(call.arguments, request.name()));
  request.set_password(password);
  ASSIGN_OR_RETURN(const admin::v1::LoginReply reply,
                   admin.Call(rpc::admin::kOperationsLogin, std::move(request)));
  std::cout << reply.token() << "\n";
  return absl::OkStatus();
}

}  // namespace posthorn::cli
