#include "lib/process/privileges.h"

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

absl::Status BecomeUser(const std::string& user, const std::string& directory,
                        const std::vector<std::string>& caller_roles, LowPorts ports) {
  if (user.empty()) return absl::OkStatus();
  const std::optional<User> found = FindUser(user);
  if (!found) return base::NotFound(base::StrCat("no user ", user));
  if (geteuid() != 0)
    return geteuid() == found->uid ? absl::OkStatus() : base::Denied("--user needs root");
  if (!directory.empty()) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (chown(directory.c_str(), found->uid, found->gid) != 0)
      return SystemError("chown " + directory);
    chmod(directory.c_str(), 0700);
  }
  std::vector<gid_t> groups = {found->gid};
  if (const group* common = getgrnam("posthorn")) groups.push_back(common->gr_gid);
  for (const std::string& role : caller_roles) {
    if (const std::optional<User> caller = FindUser(UserOf(role))) groups.push_back(caller->gid);
  }
  prctl(PR_SET_KEEPCAPS, 1);
  if (setgroups(groups.size(), groups.data()) != 0) return SystemError("setgroups");
  if (setresgid(found->gid, found->gid, found->gid) != 0) return SystemError("setgid");
  if (setresuid(found->uid, found->uid, found->uid) != 0) return SystemError("setuid");
  RETURN_IF_ERROR(KeepOnly(ports == LowPorts::kBinds ? 1U << CAP_NET_BIND_SERVICE : 0));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return SystemError("no_new_privs");
  // setuid cleared the "dumpable" flag; without it a crash leaves no core and debuggers cannot
  // attach.
  prctl(PR_SET_DUMPABLE, 1);
  return absl::OkStatus();
}

void HandToRole(const std::string& socket_path, const std::string& role) {
  if (const std::optional<User> caller = FindUser(UserOf(role))) {
    // Fails for a process that runs as an ordinary user: then all of them are the same user.
    if (chown(socket_path.c_str(), static_cast<uid_t>(-1), caller->gid) != 0) return;
  }
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
