#include "lib/rpc/completion.h"

#include <grpc/grpc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

#include "lib/net/loop.h"

// What gRPC's "poll" strategy calls in place of poll(2); libgrpc exports it, its headers do not
// show it.
extern int (*grpc_poll_function)(pollfd* files, nfds_t count, int timeout_ms);

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
// An event that a thread of gRPC's own (a deadline, a connection that is tried again) puts between
// our look at the queue and our sleep wakes nobody.
constexpr int kLongestSleepMs = 100;

// What gRPC's next wait on this thread shall do.
struct Wait {
  enum class Kind {
    kAsAsked,  // a thread that gRPC has to itself
    kLook,     // see what is there, once
    kSleep,  // until one of gRPC's files or of `also` has an event, whatever time limit gRPC names;
             // never for longer than kLongestSleepMs
    kNone,   // was done already
  };
  Kind kind = Kind::kAsAsked;
  std::span<pollfd> also;
};
thread_local Wait t_wait;

int Sleep(pollfd* files, nfds_t count, std::span<pollfd> also) {
  static thread_local std::vector<pollfd> all;
  all.assign(files, files + count);
  all.insert(all.end(), also.begin(), also.end());
  const int ready = poll(all.data(), all.size(), kLongestSleepMs);
  if (ready < 0) return ready;
  std::copy_n(all.begin(), count, files);
  std::copy(all.begin() + static_cast<std::ptrdiff_t>(count), all.end(), also.begin());
  return static_cast<int>(
      std::count_if(files, files + count, [](const pollfd& file) { return file.revents != 0; }));
}

int PollForGrpc(pollfd* files, nfds_t count, int timeout_ms) {
  const Wait wait = t_wait;
  if (wait.kind == Wait::Kind::kAsAsked) return poll(files, count, timeout_ms);
  t_wait.kind = Wait::Kind::kNone;
  if (wait.kind == Wait::Kind::kSleep) return Sleep(files, count, wait.also);
  if (wait.kind == Wait::Kind::kLook) return poll(files, count, 0);
  for (nfds_t i = 0; i < count; ++i) files[i].revents = 0;
  return 0;
}

// gRPC stays initialised until the process ends: its calls may outlive our last queue by a moment.
void SetUpGrpc() {
  static const bool done = [] {
    setenv("GRPC_POLL_STRATEGY", "poll", 1);
    grpc_poll_function = &PollForGrpc;
    grpc_init();
    return true;
  }();
  static_cast<void>(done);
}

std::mutex g_mutex;
std::map<net::Loop*, std::weak_ptr<Completions>>& Known() {
  static auto* const known = new std::map<net::Loop*, std::weak_ptr<Completions>>;
  return *known;
}

}  // namespace

std::shared_ptr<Completions> Completions::For(net::Loop& loop) {
  const std::lock_guard lock(g_mutex);
  std::weak_ptr<Completions>& known = Known()[&loop];
  std::shared_ptr<Completions> completions = known.lock();
  if (!completions) {
    completions.reset(new Completions(loop));
    known = completions;
    if (loop.HasSource()) {
      completions->ServeByThread();
    } else {
      loop.SetSource(completions.get());
      completions->is_source_ = true;
    }
  }
  return completions;
}

std::shared_ptr<Completions> Completions::New(net::Loop& loop) {
  std::shared_ptr<Completions> completions(new Completions(loop));
  completions->ServeByThread();
  return completions;
}

Completions::Completions(net::Loop& loop) : loop_(loop) {
  SetUpGrpc();
  builder_ = std::make_unique<grpc::ServerBuilder>();
  queue_ = builder_->AddCompletionQueue();
}

Completions::~Completions() {
  {
    const std::lock_guard lock(g_mutex);
    std::erase_if(Known(), [](const auto& entry) { return entry.second.expired(); });
  }
  if (is_source_) loop_.SetSource(nullptr);
  queue_->Shutdown();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    PostAll();
  }
}

void Completions::ServeByThread() {
  if (thread_.joinable()) return;
  if (std::exchange(is_source_, false)) loop_.SetSource(nullptr);
  // Signals are for the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { PostAll(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Completions::PostAll() {
  const Wait before = std::exchange(t_wait, Wait());
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    auto batch = std::make_shared<Batch>();
    batch->Add(tag, ok);
    loop_.Post([batch] { batch->Run(); });
  }
  t_wait = before;
}

void Completions::Turn(std::span<pollfd> sleep_on) {
  // What is handled here may let go of this.
  const std::shared_ptr<Completions> self = shared_from_this();
  const gpr_timespec now = gpr_time_0(GPR_CLOCK_MONOTONIC);
  Batch batch;
  void* tag = nullptr;
  bool ok = false;
  t_wait = {sleep_on.empty() ? Wait::Kind::kLook : Wait::Kind::kSleep, sleep_on};
  while (batch.size() < kLargestBatch &&
         queue_->AsyncNext(&tag, &ok, now) == grpc::CompletionQueue::GOT_EVENT) {
    batch.Add(tag, ok);
    // Something to do: no more sleep.
    if (t_wait.kind == Wait::Kind::kSleep) t_wait.kind = Wait::Kind::kLook;
  }
  t_wait = Wait();
  batch.Run();
}

}  // namespace posthorn::rpc
