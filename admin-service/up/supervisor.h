#pragma once

// `posthorn up`: all processes of one suite on one machine. Invariants:
//  1. store-service is ready before the others start; they stop gateways first, store last.
//  2. endpoints.env is replaced whole, and names only processes that run.
//  3. One supervisor for a directory: it holds a lock on DIR/up.lock.

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "admin-service/up/child.h"
#include "admin-service/up/layout.h"

namespace posthorn::up {

class Supervisor {
 public:
  // `tell` gets what is for the operator's eyes ("ready", how to connect, why it failed); `log` all
  // log lines.
  struct Output {
    std::function<void(const std::string&)> tell;
    std::function<void(const std::string&)> log;
    std::function<void(bool ready)> started;  // once: all ready, or given up
  };
  Supervisor(Options options, Output output);
  ~Supervisor();

  // Directories, lock, users; kFailedPrecondition in words for an operator.
  absl::Status Prepare();
  // Until SIGTERM or SIGINT (blocked by the caller). The exit code.
  int Run();

 private:
  struct Member {
    const Process* process;
    std::unique_ptr<Child> child;
    bool wanted = false;  // to be running
    bool failed = false;  // said, while we start, that it cannot
  };
  absl::Status PrepareDirectories();
  absl::Status PrepareUsers();
  void StartMember(Member& member);
  void StartDue();
  void ReapChildren();
  void ReadLogs();
  void Probe();
  void CheckStarted();
  void Wait(int milliseconds);
  void HandleSignals();
  void StopStage(int stage);
  void TellFailure(Member& member);
  bool AllStarted();
  void WriteEndpoints();
  void MakeDemo();
  void TellHowToConnect();
  void Log(const std::string& event);
  bool IsReady(std::string_view name) const;

  const Options options_;
  const Output output_;
  std::vector<Member> members_;
  std::string program_dir_;
  bool users_ = false;
  bool first_start_ = false;
  bool started_ = false;
  bool stopping_ = false;
  bool hurry_ = false;
  int signal_fd_ = -1;
  int lock_fd_ = -1;
  int64_t began_ = 0;
};

}  // namespace posthorn::up
