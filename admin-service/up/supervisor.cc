#include "admin-service/up/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "admin-service/up/files.h"
#include "admin-service/up/ports.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::up {
namespace {

// Longer than the longest drain that a default installation allows.
constexpr int64_t kStopLimit = 30000;
// Processes of a supervisor that was killed end behind it.
constexpr std::chrono::milliseconds kLastBreath{3000};
constexpr int64_t kStartLimit = 60000;
constexpr char kHeard[] = "5s";
constexpr int kTurn = 20;       // while something starts
constexpr int kGather = 10;     // before log lines are read
constexpr int kIdleTurn = 500;  // else only signals and logs matter, and those wake us

}  // namespace

Supervisor::Supervisor(Options options, Output output)
    : options_(std::move(options)), output_(std::move(output)) {}

Supervisor::~Supervisor() {
  if (signal_fd_ >= 0) close(signal_fd_);
  if (lock_fd_ >= 0) close(lock_fd_);
}

void Supervisor::Log(const std::string& event) { output_.log(base::StrCat("up: ", event)); }

absl::Status Supervisor::Prepare() {
  began_ = NowMillis();
  RETURN_IF_ERROR(PrepareDirectories());
  ASSIGN_OR_RETURN(lock_fd_, LockDirectory(options_.dir));
  RETURN_IF_ERROR(
      CheckPorts(options_, WantedPorts(options_, first_start_ ? Which::kFirstStart : Which::kFixed),
                 first_start_ ? std::chrono::milliseconds(0) : kLastBreath));
  RETURN_IF_ERROR(PrepareUsers());
  ASSIGN_OR_RETURN(program_dir_, OwnDirectory());
  for (const Process& process : Processes()) {
    if (!Runs(options_, process.name)) continue;
    const std::string program = base::StrCat(program_dir_, "/posthorn-", process.name);
    if (access(program.c_str(), X_OK) != 0) return base::Precondition("no program " + program);
    const std::string user = users_ ? UserOfProcess(std::string(process.name)) : "";
    members_.push_back({&process, std::make_unique<Child>(std::string(process.name), program,
                                                          Arguments(options_, process, user),
                                                          HealthAddress(options_, process))});
  }
  return absl::OkStatus();
}

absl::Status Supervisor::PrepareDirectories() {
  first_start_ = access((options_.dir + "/data/store-service").c_str(), F_OK) != 0;
  for (const char* part : {"", "/run", "/data"})
    RETURN_IF_ERROR(MakeDirectory(options_.dir + part));
  return absl::OkStatus();
}

absl::Status Supervisor::PrepareUsers() {
  using Users = Options::Users;
  const bool must = options_.users == Users::kYes;
  if (options_.users == Users::kNo || (geteuid() != 0 && !must)) return absl::OkStatus();
  if (geteuid() != 0) return base::Precondition("--users yes needs root");
  std::string without;
  if (const std::vector<std::string> missing = MissingUsers(); !missing.empty()) {
    without = base::StrCat("users are missing; make them with\n  ", MakeUsersCommand(missing));
  } else if (const std::string who = WhoCannotEnter(options_.dir); !who.empty()) {
    without = base::StrCat(who, " may not enter ", options_.dir,
                           " (a folder above it forbids it): choose another --dir");
  }
  if (!without.empty() && must) return base::Precondition(without);
  if (without.empty()) {
    users_ = true;
    return ShareDirectory(options_.dir);
  }
  // A demo needs no users of its own, and its folder lies where it lies.
  if (!options_.demo) output_.tell(base::StrCat("All processes run as root: ", without));
  return absl::OkStatus();
}

int Supervisor::Run() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, signal);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  for (Member& member : members_) {
    // All at once where the store runs elsewhere.
    member.wanted =
        members_.front().process->name != "store-service" || &member == &members_.front();
  }
  while (!stopping_) {
    StartDue();
    Wait(started_ ? kIdleTurn : kTurn);
    Probe();
    CheckStarted();
  }
  Log("stopping");
  for (int stage = 0; stage < kStages; ++stage) StopStage(stage);
  unlink(base::StrCat(options_.dir, "/", kEndpointsFile).c_str());
  const bool gave_up = !started_ && std::any_of(members_.begin(), members_.end(),
                                                [](const Member& m) { return m.failed; });
  if (!started_) output_.started(false);
  Log("stopped");
  return gave_up ? 1 : 0;
}

void Supervisor::StartMember(Member& member) {
  if (!member.child->Start()) {
    Log(base::StrCat(member.process->name, " cannot be forked"));
    return;
  }
  Log(base::StrCat(member.process->name, " started, pid ", member.child->pid()));
  WriteEndpoints();
}

void Supervisor::StartDue() {
  if (!stopping_ && IsReady("store-service")) {
    for (Member& member : members_) member.wanted = true;
  }
  for (Member& member : members_) {
    Child& child = *member.child;
    if (member.wanted && child.pid() == 0 && child.restart_at() <= NowMillis()) StartMember(member);
  }
}

bool Supervisor::IsReady(std::string_view name) const {
  return std::any_of(members_.begin(), members_.end(), [name](const Member& m) {
    return m.process->name == name && m.child->ready();
  });
}

void Supervisor::Wait(int milliseconds) {
  std::vector<pollfd> fds = {{signal_fd_, POLLIN, 0}};
  for (const Member& member : members_) {
    if (member.child->log_fd() >= 0) fds.push_back({member.child->log_fd(), POLLIN, 0});
    if (member.child->restart_at() > 0) milliseconds = std::min(milliseconds, kTurn);
    if (member.child->pid() > 0 && !member.child->ready())
      milliseconds = std::min(milliseconds, kTurn);
  }
  const int events = poll(fds.data(), fds.size(), milliseconds);
  // Under load lines come by the thousand: one turn for all of the next milliseconds.
  if (events > 0 && fds[0].revents == 0 && started_ && !stopping_) poll(fds.data(), 1, kGather);
  HandleSignals();
  ReadLogs();
  ReapChildren();
}

void Supervisor::HandleSignals() {
  signalfd_siginfo info{};
  while (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    hurry_ = stopping_;
    stopping_ = true;
  }
}

void Supervisor::ReadLogs() {
  for (const Member& member : members_) {
    if (member.child->log_fd() >= 0) member.child->ReadLog(output_.log);
  }
}

void Supervisor::ReapChildren() {
  for (Member& member : members_) {
    int status = 0;
    if (member.child->pid() == 0 || waitpid(member.child->pid(), &status, WNOHANG) <= 0) continue;
    if (member.child->log_fd() >= 0) member.child->ReadLog(output_.log);
    const std::string how = member.child->Ended(status);
    const int64_t wait = member.child->restart_at() - NowMillis();
    Log(base::StrCat(
        member.process->name, " ended: ", how,
        stopping_ ? "" : base::StrCat(", again in ", std::max<int64_t>(wait, 0), " ms")));
    if (!started_ && !stopping_) TellFailure(member);
    if (!stopping_) WriteEndpoints();
  }
}

// What cannot start is said at once. A first start is given up for it: nothing is lost by that.
// Later the others go on without it, because a port that somebody took must not stop the rest of
// the mail.
void Supervisor::TellFailure(Member& member) {
  const std::string& reason = member.child->failure();
  if (reason.empty() || member.failed) return;
  member.failed = true;
  output_.tell(base::StrCat(member.process->name, " cannot start: ", reason));
  if (first_start_) {
    stopping_ = true;
  } else {
    output_.tell("  It is tried again every few seconds; the others go on.");
  }
}

bool Supervisor::AllStarted() {
  return std::all_of(members_.begin(), members_.end(),
                     [](const Member& m) { return m.child->ready() || m.failed || !m.wanted; });
}

void Supervisor::Probe() {
  for (const Member& member : members_) member.child->Probe();
}

void Supervisor::CheckStarted() {
  if (started_ || stopping_) return;
  const bool failed =
      std::any_of(members_.begin(), members_.end(), [](const Member& m) { return m.failed; });
  const bool all = std::all_of(members_.begin(), members_.end(),
                               [](const Member& m) { return m.child->ready(); });
  if (!all) {
    const bool late = NowMillis() - began_ >= kStartLimit;
    if (!late && !(failed && AllStarted())) return;
    for (const Member& member : members_) {
      if (!late || member.child->ready() || member.failed) continue;
      const std::string& missing = member.child->missing();
      output_.tell(base::StrCat(member.process->name, " is not ready after a minute",
                                missing.empty() ? "; see the log" : ": ", missing));
    }
    started_ = true;  // goes on trying, as after any crash
    output_.started(false);
    return;
  }
  started_ = true;
  WriteEndpoints();
  const int64_t took = NowMillis() - began_;
  if (options_.demo) MakeDemo();
  // Admin-service hears of the others a moment later; who is told how to connect may ask it.
  if (members_.size() == Processes().size())
    RunProgram({program_dir_ + "/posthorn", "--dir", options_.dir, "status", "--wait", kHeard});
  output_.tell(base::StrCat("Posthorn runs: ", members_.size(), " processes ready in ", took / 1000,
                            ".", took % 1000 / 100, " s"));
  TellHowToConnect();
  output_.started(true);
}

void Supervisor::StopStage(int stage) {
  const int64_t deadline = NowMillis() + kStopLimit;
  bool asked = false;
  bool killed = false;
  while (true) {
    bool any = false;
    for (Member& member : members_) {
      if (member.process->stage != stage) continue;
      if (!asked) member.child->Kill(SIGTERM);
      if (hurry_ && !killed) member.child->Kill(SIGTERM);  // the second one cuts its drain short
      if (NowMillis() > deadline) member.child->Kill(SIGKILL);
      any = any || member.child->pid() > 0;
    }
    killed = hurry_;
    asked = true;
    if (!any) return;
    Wait(kTurn);
  }
}

void Supervisor::WriteEndpoints() {
  std::vector<int> pids(Processes().size(), 0);
  for (const Member& member : members_) {
    pids[static_cast<size_t>(member.process - Processes().data())] = member.child->pid();
  }
  const absl::Status status = ReplaceFile(base::StrCat(options_.dir, "/", kEndpointsFile),
                                          EndpointsText(options_, getpid(), pids), 0644);
  if (!status.ok()) Log(std::string(base::Message(status)));
}

void Supervisor::MakeDemo() {
  const std::string posthorn = program_dir_ + "/posthorn";
  if (RunProgram({posthorn, "--dir", options_.dir, "get", "domain", "demo.test"}) == 0) return;
  const std::string file = options_.dir + "/demo.yaml";
  const absl::Status written = ReplaceFile(
      file,
      "kind: domain\nname: demo.test\n"
      "---\nkind: account\naddress: alice@demo.test\npassword: alice-demo\nfull_name: Alice\n"
      "---\nkind: account\naddress: bob@demo.test\npassword: bob-demo\nfull_name: Bob\n",
      0600);
  const bool made = written.ok() && RunProgram({posthorn, "--dir", options_.dir, "apply", "-f",
                                                file, "--reason", "demo"}) == 0;
  if (!made) output_.tell("The demo domain could not be made; see the log.");
}

void Supervisor::TellHowToConnect() {
  const std::string host = Host(options_);
  const auto port = [this](std::string_view variable) {
    for (const Port& p : Ports()) {
      if (p.variable == variable) return options_.port_base + p.standard;
    }
    return 0;
  };
  output_.tell(base::StrCat("  SMTP        ", host, " port ", port("SMTP_PORT")));
  output_.tell(base::StrCat("  Submission  ", host, " port ", port("SUBMISSION_PORT"),
                            " (STARTTLS) or ", port("SUBMISSIONS_PORT"), " (TLS)"));
  output_.tell(base::StrCat("  IMAP        ", host, " port ", port("IMAP_PORT"), " (STARTTLS) or ",
                            port("IMAPS_PORT"), " (TLS)"));
  output_.tell(base::StrCat("  POP3        ", host, " port ", port("POP3_PORT"), " (STARTTLS) or ",
                            port("POP3S_PORT"), " (TLS)"));
  output_.tell(base::StrCat("  Admin       posthorn --dir ", options_.dir, " status"));
  if (first_start_) {
    output_.tell(base::StrCat("The password of administrator \"admin\" is in ", options_.dir,
                              "/admin.password"));
    output_.tell(
        "The certificate is self-signed: clients will ask. Set your own with: posthorn set "
        "certificate default …");
  }
  if (options_.demo) {
    output_.tell(
        "Demo accounts: alice@demo.test with password alice-demo, bob@demo.test with password "
        "bob-demo");
  }
}

}  // namespace posthorn::up
