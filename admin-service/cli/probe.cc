#include "admin-service/cli/probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "admin-service/cli/commands.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::cli {
namespace {

constexpr timeval kStepLimit{5, 0};
constexpr size_t kMostAnswer = 65536;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status Away(const std::string& address, std::string_view why) {
  return base::Unavailable(base::StrCat("nobody answers at ", address, ": ", why));
}

absl::StatusOr<std::string> Ask(const std::string& address, std::string_view page) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found);
  if (failed != 0) return Away(address, gai_strerror(failed));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freer(found, freeaddrinfo);
  const Socket peer(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &kStepLimit, sizeof(kStepLimit));
  setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &kStepLimit, sizeof(kStepLimit));
  if (connect(peer.get(), found->ai_addr, found->ai_addrlen) != 0)
    return Away(address, std::strerror(errno));
  const std::string request = base::StrCat("GET /", page, " HTTP/1.0\r\n\r\n");
  if (send(peer.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return Away(address, std::strerror(errno));
  std::string answer;
  char buffer[4096];
  ssize_t size = 0;
  while (answer.size() < kMostAnswer && (size = recv(peer.get(), buffer, sizeof(buffer), 0)) > 0)
    answer.append(buffer, static_cast<size_t>(size));
  if (answer.empty()) return Away(address, size < 0 ? std::strerror(errno) : "closed");
  return answer;
}

}  // namespace

absl::Status ProbeCommand(const Arguments& arguments) {
  const auto& words = arguments.words;
  const std::string page = words.size() > 2 ? words[2] : "readyz";
  const bool known = page == "readyz" || page == "livez";
  if (words.size() < 2 || words.size() > 3 || !known || words[1].rfind(':') == std::string::npos)
    return UsageError(base::StrCat("usage: posthorn ", kProbeUsage));
  ASSIGN_OR_RETURN(const std::string answer, Ask(words[1], page));
  const std::string status = answer.substr(0, answer.find('\r'));
  if (status.starts_with("HTTP/1.") && status.find(" 200 ") != std::string::npos)
    return absl::OkStatus();
  const size_t body = answer.find("\r\n\r\n");
  return base::Precondition(body == std::string::npos ? status
                                                      : base::Trim(answer.substr(body + 4)));
}

}  // namespace posthorn::cli
