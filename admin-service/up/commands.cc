#include "admin-service/up/commands.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "admin-service/up/files.h"
#include "admin-service/up/supervisor.h"
#include "lib/base/strings.h"

namespace posthorn::up {
namespace {

constexpr int kDownLimitMillis = 180000;
constexpr off_t kLogLimit = 64 << 20;

void BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
}

void WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) return;  // a log that cannot be written must not stop the mail
    done += static_cast<size_t>(n);
  }
}

// DIR/posthorn.log; at 64 MiB it becomes posthorn.log.1.
class LogFile {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) { Open(); }
  ~LogFile() { close(fd_); }
  LogFile(const LogFile&) = delete;
  void Line(const std::string& line) {
    WriteAll(fd_, line + "\n");
    if (lseek(fd_, 0, SEEK_END) < kLogLimit) return;
    rename(path_.c_str(), (path_ + ".1").c_str());
    close(fd_);
    Open();
  }

 private:
  void Open() { fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640); }
  const std::string path_;
  int fd_ = -1;
};

int RunSupervisor(const Options& options, Supervisor::Output output) {
  const auto tell = output.tell;
  const auto started = output.started;
  Supervisor supervisor(options, std::move(output));
  const absl::Status prepared = supervisor.Prepare();
  if (!prepared.ok()) {
    tell(base::StrCat("posthorn up: ", base::Message(prepared)));
    started(false);
    return 1;
  }
  return supervisor.Run();
}

int UpInForeground(const Options& options) {
  return RunSupervisor(
      options,
      {[](const std::string& line) { std::cout << line << '\n'
                                               << std::flush; },
       [](const std::string& line) { WriteAll(STDERR_FILENO, line + "\n"); }, [](bool) {}});
}

// In the detached child: what is told goes through the pipe to whoever typed the command, until it
// has started.
int UpDetached(const Options& options, int pipe) {
  setsid();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
  LogFile log(options.dir + "/posthorn.log");
  const auto tell = [&](const std::string& line) {
    if (pipe >= 0) WriteAll(pipe, line + "\n");
    log.Line(line);
  };
  const auto started = [&](bool ready) {
    if (pipe < 0) return;
    WriteAll(pipe, std::string(1, ready ? '\1' : '\2'));
    close(std::exchange(pipe, -1));
  };
  return RunSupervisor(options, {tell, [&](const std::string& line) { log.Line(line); }, started});
}

// Prints what the child tells; 0 once it is ready. SIGINT and SIGTERM end the child, which then
// stops what it started.
int AwaitStart(int pipe, pid_t child) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) sigaddset(&set, signal);
  const int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  pollfd fds[] = {{pipe, POLLIN, 0}, {signals, POLLIN, 0}};
  char buffer[4096];
  while (true) {
    poll(fds, 2, -1);
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof(info)) == sizeof(info)) {
      std::cout << "stopping\n" << std::flush;
      kill(child, SIGTERM);
    }
    if (fds[0].revents == 0) continue;
    const ssize_t size = read(pipe, buffer, sizeof(buffer));
    if (size <= 0) return 1;
    std::string_view text(buffer, static_cast<size_t>(size));
    const char last = text.back();
    if (last == '\1' || last == '\2') text.remove_suffix(1);
    std::cout << text << std::flush;
    if (last == '\1' || last == '\2') return last == '\1' ? 0 : 1;
  }
}

bool Locked(const std::string& dir) {
  const int fd = open((dir + "/up.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

}  // namespace

int Up(Options options) {
  options.dir = std::filesystem::absolute(options.dir).lexically_normal().string();
  if (options.port_base != 0 && options.bind.empty()) options.bind = "127.0.0.1";
  BlockSignals();
  if (!options.detach) return UpInForeground(options);
  const absl::Status made = MakeDirectory(options.dir);
  int fds[2];
  if (!made.ok() || pipe2(fds, O_CLOEXEC) != 0) {
    std::cerr << "posthorn up: " << base::Message(made) << "\n";
    return 1;
  }
  const pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    _exit(UpDetached(options, fds[1]));
  }
  close(fds[1]);
  return pid < 0 ? 1 : AwaitStart(fds[0], pid);
}

int Down(const std::string& dir) {
  const absl::StatusOr<std::string> text = ReadFile(dir + "/up.lock");
  const std::optional<int> pid = text.ok() ? base::ParseInt<int>(base::Trim(*text)) : std::nullopt;
  // The lock, not the pid, says whether it runs: the pid may be somebody else's by now.
  if (!pid || !Locked(dir)) {
    std::cout << "posthorn is not up in " << dir << "\n";
    return 0;
  }
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, *pid, 0));
  if (handle < 0 || kill(*pid, SIGTERM) != 0) {
    std::cerr << "posthorn down: cannot signal pid " << *pid << "\n";
    return 1;
  }
  pollfd gone{handle, POLLIN, 0};
  const bool ended = poll(&gone, 1, kDownLimitMillis) == 1;
  close(handle);
  std::cout << (ended ? "posthorn is down\n" : "posthorn still runs after three minutes\n");
  return ended ? 0 : 1;
}

}  // namespace posthorn::up
