#include "lib/rpc/completion.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <signal.h>

#include <map>
#include <mutex>

#include "lib/net/loop.h"

namespace posthorn::rpc {
namespace {

// Completions on their way to the loop. Those that never ran (the loop stopped) let go of their
// owners.
class Batch {
 public:
  void Add(void* tag, bool ok) { events_.push_back({static_cast<Tag*>(tag), ok}); }
  size_t size() const { return events_.size(); }
  void Run() {
    while (next_ < events_.size()) {
      const Event event = events_[next_++];
      event.tag->Complete(event.ok);
    }
  }
  ~Batch() {
    while (next_ < events_.size()) {
      const Event event = events_[next_++];
      event.tag->Drop(event.ok);
    }
  }

 private:
  struct Event {
    Tag* tag;
    bool ok;
  };
  std::vector<Event> events_;
  size_t next_ = 0;
};

constexpr size_t kLargestBatch = 1024;

std::mutex g_mutex;
std::map<net::Loop*, std::weak_ptr<CompletionThread>>& Threads() {
  static auto* const threads = new std::map<net::Loop*, std::weak_ptr<CompletionThread>>;
  return *threads;
}

}  // namespace

std::shared_ptr<CompletionThread> CompletionThread::For(net::Loop& loop) {
  const std::lock_guard lock(g_mutex);
  std::weak_ptr<CompletionThread>& known = Threads()[&loop];
  std::shared_ptr<CompletionThread> thread = known.lock();
  if (!thread) {
    thread.reset(new CompletionThread(loop));
    known = thread;
  }
  return thread;
}

std::shared_ptr<CompletionThread> CompletionThread::New(net::Loop& loop) {
  return std::shared_ptr<CompletionThread>(new CompletionThread(loop));
}

CompletionThread::CompletionThread(net::Loop& loop) : loop_(loop) {
  // gRPC stays initialised until the process ends: its calls may outlive our last queue by a
  // moment.
  static const bool initialised = (grpc_init(), true);
  static_cast<void>(initialised);
  builder_ = std::make_unique<grpc::ServerBuilder>();
  queue_ = builder_->AddCompletionQueue();
  // Signals are for the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

CompletionThread::~CompletionThread() {
  {
    const std::lock_guard lock(g_mutex);
    std::erase_if(Threads(), [](const auto& entry) { return entry.second.expired(); });
  }
  queue_->Shutdown();
  thread_.join();
}

void CompletionThread::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    auto batch = std::make_shared<Batch>();
    batch->Add(tag, ok);
    while (batch->size() < kLargestBatch &&
           queue_->AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC)) ==
               grpc::CompletionQueue::GOT_EVENT) {
      batch->Add(tag, ok);
    }
    loop_.Post([batch] { batch->Run(); });
  }
}

}  // namespace posthorn::rpc
