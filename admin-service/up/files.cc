#include "admin-service/up/files.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "admin-service/up/layout.h"
#include "lib/base/strings.h"

namespace posthorn::up {
namespace {

absl::Status SystemError(std::string_view what) {
  return base::Precondition(base::StrCat(what, ": ", std::strerror(errno)));
}

}  // namespace

absl::Status MakeDirectory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return base::Precondition(base::StrCat(path, ": ", error.message()));
  return absl::OkStatus();
}

absl::Status ReplaceFile(const std::string& path, const std::string& text, unsigned mode) {
  const std::string beside = path + ".new";
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return SystemError(beside);
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (!written || rename(beside.c_str(), path.c_str()) != 0) return SystemError(path);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound(base::StrCat("cannot read ", path));
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

absl::StatusOr<int> LockDirectory(const std::string& dir) {
  const std::string path = dir + "/up.lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError(path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = "";
    const ssize_t size = read(fd, pid, sizeof(pid) - 1);
    close(fd);
    return base::Precondition(
        base::StrCat("posthorn is up in ", dir, " already, pid ",
                     base::Trim(std::string_view(pid, size > 0 ? static_cast<size_t>(size) : 0))));
  }
  const std::string pid = base::StrCat(getpid(), "\n");
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) return SystemError(path);
  return fd;
}

absl::StatusOr<std::string> OwnDirectory() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return base::Precondition("cannot read /proc/self/exe");
  return self.parent_path().string();
}

int RunProgram(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string UserOfProcess(const std::string& process) {
  const std::string word = process.substr(0, process.find('-'));
  return "posthorn-" + (word == "delivery" ? "queue" : word);
}

std::vector<std::string> MissingUsers() {
  std::vector<std::string> missing;
  for (const Process& process : Processes()) {
    std::string user = UserOfProcess(std::string(process.name));
    if (getpwnam(user.c_str()) == nullptr) missing.push_back(std::move(user));
  }
  return missing;
}

std::string MakeUsersCommand(const std::vector<std::string>& users) {
  std::string names;
  for (const std::string& user : users) base::StrAppend(names, " ", user);
  return base::StrCat("for u in", names,
                      "; do useradd --system --user-group --no-create-home --home-dir /nonexistent "
                      "--shell /usr/sbin/nologin $u; done");
}

std::string WhoCannotEnter(const std::string& dir) {
  // In a child of its own: rights once given up for a user do not come back.
  for (const Process& process : Processes()) {
    const std::string name = UserOfProcess(std::string(process.name));
    const passwd* user = getpwnam(name.c_str());
    if (user == nullptr) return name;
    const pid_t pid = fork();
    if (pid == 0) {
      const bool became = setgroups(0, nullptr) == 0 &&
                          setresgid(user->pw_gid, user->pw_gid, user->pw_gid) == 0 &&
                          setresuid(user->pw_uid, user->pw_uid, user->pw_uid) == 0;
      _exit(became && access(dir.c_str(), F_OK) == 0 ? 0 : 1);
    }
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) return name;
  }
  return {};
}

absl::Status ShareDirectory(const std::string& dir) {
  if (chmod(dir.c_str(), 0755) != 0) return SystemError(dir);
  for (const char* part : {"/run", "/data"}) {
    const std::string path = dir + part;
    if (chown(path.c_str(), 0, 0) != 0 || chmod(path.c_str(), 0755) != 0) return SystemError(path);
  }
  // admin-service may not make files in DIR itself; it writes into this one.
  const std::string password = dir + "/admin.password";
  const passwd* admin = getpwnam(UserOfProcess("admin-service").c_str());
  if (admin == nullptr || access((dir + "/data/admin-service").c_str(), F_OK) == 0)
    return absl::OkStatus();
  const int fd = open(password.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || fchown(fd, admin->pw_uid, admin->pw_gid) != 0) return SystemError(password);
  close(fd);
  return absl::OkStatus();
}

}  // namespace posthorn::up
