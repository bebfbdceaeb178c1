#include "store-service/blob/s3/strict_server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "lib/base/strings.h"
#include "lib/testing/free_port.h"

namespace posthorn::store_service {

StrictServer::StrictServer(std::string root) : root_(std::move(root)) {
  Start(posthorn::testing::FreePort());
}
StrictServer::~StrictServer() { Kill(); }

void StrictServer::Start(int port) {
  int in[2];
  int out[2];
  if (::pipe(in) != 0 || ::pipe(out) != 0) std::abort();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    for (int fd = 3; fd < 1024; ++fd) ::close(fd);
    const std::string text = base::StrCat(port);
    ::execlp("python3", "python3", POSTHORN_STRICT_SERVER, root_.c_str(), text.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  in_ = in[1];
  out_ = out[0];
  const std::string line = ReadLine();
  port_ = base::ParseInt<int>(std::string_view(line).substr(line.rfind(' ') + 1)).value_or(0);
  if (port_ == 0) std::abort();
}

std::string StrictServer::ReadLine() {
  std::string line;
  for (char c = 0; ::read(out_, &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

void StrictServer::Say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(in_, text.data(), text.size()) < 0) std::abort();
  ReadLine();
}

void StrictServer::Fault(const std::string& kind, int count, const std::string& method,
                         double seconds) {
  Say(base::StrCat("fault ", kind, " ", count, " ", method, " ", std::to_string(seconds)));
}

void StrictServer::Kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(in_);
  ::close(out_);
  pid_ = 0;
}

void StrictServer::Restart() {
  Kill();
  Start(port_);
}

S3Target StrictServer::target() const {
  return ParseS3Target("s3://mail/store/one", base::StrCat("http://127.0.0.1:", port_),
                       "test-region-1", "POSTHORN\na secret key/with+signs\n")
      .value();
}

}  // namespace posthorn::store_service
