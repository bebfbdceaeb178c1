#include "lib/process/privileges.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::process {
namespace {

struct User {
  uid_t uid;
  gid_t gid;
};

std::optional<User> FindUser(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwnam_r(name.c_str(), &entry, buffer, sizeof(buffer), &found) != 0 || found == nullptr)
    return {};
  return User{entry.pw_uid, entry.pw_gid};
}

absl::Status SystemError(std::string_view what) {
  return base::Denied(base::StrCat(what, ": ", std::strerror(errno)));
}

// Gives what lies in an open folder, which this closes. Links are given, never followed, and what
// has a second name somewhere else is left alone: who owned the folder may mean us harm.
absl::Status GiveContents(int folder, const User& user) {
  DIR* const listing = fdopendir(folder);
  if (listing == nullptr) return SystemError("read folder");
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(listing, closedir);
  while (const dirent* entry = readdir(listing)) {
    const std::string_view name = entry->d_name;
    struct stat now{};
    if (name == "." || name == ".." ||
        fstatat(folder, entry->d_name, &now, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISDIR(now.st_mode)) {
      const int inner =
          openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (inner < 0 || fchown(inner, user.uid, user.gid) != 0) return SystemError(entry->d_name);
      RETURN_IF_ERROR(GiveContents(inner, user));
    } else if (now.st_uid != user.uid && now.st_nlink == 1 &&
               fchownat(folder, entry->d_name, user.uid, user.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return SystemError(entry->d_name);
    }
  }
  return absl::OkStatus();
}

// What an installation left that ran as somebody else before is given, too.
absl::Status GiveDirectory(const std::string& directory, const User& user) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const int folder = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0 || fchown(folder, user.uid, user.gid) != 0 || fchmod(folder, 0700) != 0)
    return SystemError(directory);
  return GiveContents(folder, user);
}

// The only thing a process still needs from root is ports below 1024.
absl::Status KeepOnly(uint32_t capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = capabilities;
  if (syscall(SYS_capset, &header, data) != 0) return SystemError("capset");
  return absl::OkStatus();
}

}  // namespace

std::string UserOf(const std::string& process) {
  std::string word = process.substr(0, process.find('-'));
  if (word == "delivery") word = "queue";
  return "posthorn-" + word;
}

std::string SocketDirectory(const std::string& run, const std::string& word,
                            const std::string& role) {
  return base::StrCat(run, "/", word, ".", role);
}

absl::Status MakeSocketDirectory(const std::string& directory, const std::string& user,
                                 const std::string& role) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return base::Denied(base::StrCat(directory, ": ", error.message()));
  if (user.empty() || geteuid() != 0) return absl::OkStatus();
  const std::optional<User> owner = FindUser(user);
  if (!owner) return base::NotFound(base::StrCat("no user ", user));
  const std::optional<User> caller = FindUser(UserOf(role));
  // Set-group-id: what is made inside belongs to the callers' group, of which the owner is none.
  if (chown(directory.c_str(), owner->uid, caller ? caller->gid : 0) != 0 ||
      chmod(directory.c_str(), 02750) != 0)
    return SystemError(directory);
  return absl::OkStatus();
}

absl::Status BecomeUser(const std::string& user, const std::string& directory, LowPorts ports) {
  if (user.empty()) return absl::OkStatus();
  const std::optional<User> found = FindUser(user);
  if (!found) return base::NotFound(base::StrCat("no user ", user));
  if (geteuid() != 0)
    return geteuid() == found->uid ? absl::OkStatus() : base::Denied("--user needs root");
  if (!directory.empty()) RETURN_IF_ERROR(GiveDirectory(directory, *found));
  int death_signal = 0;
  prctl(PR_GET_PDEATHSIG, &death_signal);
  const pid_t parent = getppid();
  prctl(PR_SET_KEEPCAPS, 1);
  if (setgroups(1, &found->gid) != 0) return SystemError("setgroups");
  if (setresgid(found->gid, found->gid, found->gid) != 0) return SystemError("setgid");
  if (setresuid(found->uid, found->uid, found->uid) != 0) return SystemError("setuid");
  RETURN_IF_ERROR(KeepOnly(ports == LowPorts::kBinds ? 1U << CAP_NET_BIND_SERVICE : 0));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return SystemError("no_new_privs");
  // setuid cleared the "dumpable" flag; without it a crash leaves no core and debuggers cannot
  // attach.
  prctl(PR_SET_DUMPABLE, 1);
  // And it cleared what `posthorn up` asked for: to end with it.
  prctl(PR_SET_PDEATHSIG, death_signal);
  if (death_signal != 0 && getppid() != parent) return base::Denied("the supervisor is gone");
  return absl::OkStatus();
}

uint64_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace posthorn::process
