#pragma once

// One supervised process: its pid, its log pipe, its readiness, when to start it again. Times are
// milliseconds of the monotonic clock. Single-threaded.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace posthorn::up {

int64_t NowMillis();

class Child {
 public:
  Child(std::string name, std::string program, std::vector<std::string> arguments,
        std::string health);
  ~Child();
  Child(const Child&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }  // 0: does not run
  bool ready() const { return ready_; }
  // What it lacked when it was asked last; "" when it has not said so.
  const std::string& missing() const { return missing_; }
  // Forks and execs; the child dies with its supervisor. False when it cannot be started.
  bool Start();
  // After waitpid: what became of it, in words. Sets when to start again.
  std::string Ended(int status);
  // Why it said it could not go on, in its own words; "" when it said nothing. Of its last life.
  const std::string& failure() const { return failure_; }
  // When to start again; 0: not waiting for that.
  int64_t restart_at() const { return restart_at_; }
  void Kill(int signal);

  // The pipe of its standard output and error; -1: none.
  int log_fd() const { return log_fd_; }
  // Reads what is there and hands it to `lines` as one text of whole lines, without the last line
  // break; those that are not log lines are marked with the name.
  void ReadLog(const std::function<void(const std::string&)>& lines);

  // Asks /readyz without waiting; call it now and then until ready().
  void Probe();
  int probe_fd() const { return probe_fd_; }

 private:
  void CloseProbe();

  const std::string name_;
  const std::string program_;
  const std::vector<std::string> arguments_;
  const std::string health_;
  pid_t pid_ = 0;
  int log_fd_ = -1;
  int probe_fd_ = -1;
  int64_t probe_since_ = 0;
  bool probe_sent_ = false;
  bool ready_ = false;
  int64_t started_at_ = 0;
  int64_t restart_at_ = 0;
  int64_t backoff_ = 0;
  std::string failure_;
  std::string partial_;
  std::string answer_;
  std::string missing_;
};

}  // namespace posthorn::up
