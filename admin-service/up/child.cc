#include "admin-service/up/child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "lib/base/clock.h"
#include "lib/base/strings.h"

namespace posthorn::up {
namespace {

constexpr int64_t kFirstBackoff = 100;
constexpr int64_t kLongestBackoff = 10000;
// Who ran that long has recovered: the next crash starts with a short wait again.
constexpr int64_t kStable = 30000;
constexpr int64_t kProbeLimit = 1500;
constexpr size_t kLongestLine = 16384;
constexpr int kPipeSize = 1 << 20;

// In the child between fork and exec: nothing that allocates.
[[noreturn]] void Become(const char* program, char* const* argv, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);  // a Ctrl-C at the terminal is for the supervisor, which stops us in order
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  const int null = open("/dev/null", O_RDONLY);
  if (null >= 0) dup2(null, STDIN_FILENO);
  execv(program, argv);
  _exit(127);
}

}  // namespace

int64_t NowMillis() { return base::MonotonicMicros() / 1000; }

Child::Child(std::string name, std::string program, std::vector<std::string> arguments,
             std::string health)
    : name_(std::move(name)),
      program_(std::move(program)),
      arguments_(std::move(arguments)),
      health_(std::move(health)) {}

Child::~Child() {
  CloseProbe();
  if (log_fd_ >= 0) close(log_fd_);
}

bool Child::Start() {
  restart_at_ = 0;
  ready_ = false;
  failure_.clear();
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return false;
  std::vector<char*> argv = {const_cast<char*>(program_.c_str())};
  for (const std::string& argument : arguments_)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) Become(program_.c_str(), argv.data(), pipe_fds[1], parent);
  close(pipe_fds[1]);
  if (pid < 0) {
    close(pipe_fds[0]);
    return false;
  }
  if (log_fd_ >= 0) close(log_fd_);
  log_fd_ = pipe_fds[0];
  fcntl(log_fd_, F_SETFL, O_NONBLOCK);
  // Room for what a busy gateway says while the supervisor gathers lines; a full pipe would stop
  // it.
  fcntl(log_fd_, F_SETPIPE_SZ, kPipeSize);
  pid_ = pid;
  started_at_ = NowMillis();
  return true;
}

std::string Child::Ended(int status) {
  pid_ = 0;
  ready_ = false;
  CloseProbe();
  if (NowMillis() - started_at_ > kStable) backoff_ = 0;
  backoff_ = backoff_ == 0 ? kFirstBackoff : std::min(backoff_ * 2, kLongestBackoff);
  restart_at_ = NowMillis() + backoff_;
  if (WIFSIGNALED(status)) return base::StrCat("signal ", WTERMSIG(status));
  if (WEXITSTATUS(status) == 127) return "could not be executed";
  return base::StrCat("exit ", WEXITSTATUS(status));
}

void Child::Kill(int signal) {
  restart_at_ = 0;
  if (pid_ > 0) kill(pid_, signal);
}

void Child::ReadLog(const std::function<void(const std::string&)>& lines) {
  char buffer[65536];
  ssize_t size = 0;
  std::string told;  // all that is there, passed on at once: a write for each line would cost more
  const std::string own = base::StrCat(" ", name_, " ");
  // Log lines name their process: "time level process event …". Others (a sanitizer, libstdc++) do
  // not.
  const auto tell = [&](std::string_view text) {
    if (const size_t reason = text.find(" reason=");
        text.find(" process.failed ") != std::string_view::npos && reason != std::string_view::npos)
      failure_ = text.substr(reason + 8);
    if (!told.empty()) told.push_back('\n');
    if (text.find(own) == std::string_view::npos) base::StrAppend(told, name_, ": ");
    told.append(text);
  };
  while ((size = read(log_fd_, buffer, sizeof(buffer))) > 0) {
    partial_.append(buffer, static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t end = partial_.find('\n'); end != std::string::npos;
         end = partial_.find('\n', begin)) {
      tell(std::string_view(partial_).substr(begin, end - begin));
      begin = end + 1;
    }
    partial_.erase(0, begin);
    if (partial_.size() > kLongestLine) tell(std::exchange(partial_, {}));
  }
  if (size == 0 && !partial_.empty()) tell(std::exchange(partial_, {}));
  if (!told.empty()) lines(told);
  if (size == 0) {
    close(log_fd_);
    log_fd_ = -1;
  }
}

void Child::CloseProbe() {
  if (probe_fd_ >= 0) close(probe_fd_);
  probe_fd_ = -1;
  probe_sent_ = false;
  answer_.clear();
}

void Child::Probe() {
  if (pid_ == 0 || ready_) return;
  if (probe_fd_ >= 0 && NowMillis() - probe_since_ > kProbeLimit) CloseProbe();
  if (probe_fd_ < 0) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const size_t colon = health_.rfind(':');
    address.sin_port =
        htons(base::ParseInt<uint16_t>(std::string_view(health_).substr(colon + 1)).value_or(0));
    inet_pton(AF_INET, health_.substr(0, colon).c_str(), &address.sin_addr);
    probe_fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    probe_since_ = NowMillis();
    if (connect(probe_fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
      return CloseProbe();
    }
  }
  constexpr std::string_view kRequest = "GET /readyz HTTP/1.0\r\n\r\n";
  if (!probe_sent_) {
    if (send(probe_fd_, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) {
      return errno == EAGAIN ? void() : CloseProbe();
    }
    probe_sent_ = true;
  }
  char buffer[1024];
  const ssize_t size = recv(probe_fd_, buffer, sizeof(buffer), 0);
  if (size < 0) return errno == EAGAIN ? void() : CloseProbe();
  answer_.append(buffer, static_cast<size_t>(size));
  ready_ = answer_.substr(0, answer_.find('\r')).find(" 200 ") != std::string::npos;
  const bool whole = size == 0 || answer_.size() >= sizeof(buffer);
  if (const size_t body = answer_.find("\r\n\r\n"); whole && body != std::string::npos)
    missing_ = base::Trim(std::string_view(answer_).substr(body));
  if (ready_ || whole) CloseProbe();
}

}  // namespace posthorn::up
