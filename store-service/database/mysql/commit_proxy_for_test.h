#pragma once

// A TCP proxy in front of a database that does something to COMMITs. One thread for each direction
// of a link.

#include <atomic>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace posthorn::mysql {

class CommitProxy {
 public:
  enum class At {
    kPass,
    kCutBefore,  // the COMMIT never arrives, both ends are closed
    kCutAfter,   // it arrives, its answer does not
    kHold,       // it lies on the wire until Release(); the client's end is closed at once
  };
  explicit CommitProxy(int server_port);
  ~CommitProxy();
  int port() const { return port_; }
  // For the next COMMIT only.
  void Next(At at) { at_ = at; }
  // Sends the COMMITs that were held.
  void Release();

 private:
  struct Link {
    int client = -1;
    int server = -1;
    std::atomic<bool> drop_answers = false;
  };
  void Accept();
  void FromClient(std::shared_ptr<Link> link);
  void FromServer(std::shared_ptr<Link> link);
  // False: the link is over.
  bool Forward(Link& link, std::string_view packet);

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<At> at_ = At::kPass;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<std::shared_ptr<Link>> links_;
  std::vector<std::pair<std::shared_ptr<Link>, std::string>> held_;
  std::thread acceptor_;
};

}  // namespace posthorn::mysql
