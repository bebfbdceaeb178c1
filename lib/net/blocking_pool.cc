#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lib/net/loop.h"
#include "lib/net/loop_impl.h"

namespace posthorn::net {

struct BlockingPool::Impl {
  void Work();
  std::string name;
  size_t max_queued = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;  // guarded by mutex
  bool stopping = false;                    // guarded by mutex
  std::vector<std::thread> threads;
};

void BlockingPool::Impl::Work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return stopping || !queue.empty(); });
    if (stopping) return;
    auto work = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    internal::RunGuarded(name, work);
    work = nullptr;  // what it holds goes before the lock comes back
    lock.lock();
  }
}

BlockingPool::BlockingPool(Loop& loop, std::string_view name, int threads, size_t max_queued)
    : loop_(&loop), impl_(std::make_unique<Impl>()) {
  impl_->name = name;
  impl_->max_queued = max_queued;
  for (int i = 0; i < threads; ++i)
    impl_->threads.emplace_back([impl = impl_.get()] { impl->Work(); });
}

BlockingPool::~BlockingPool() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    dropped.swap(impl_->queue);
  }
  impl_->changed.notify_all();
  for (auto& thread : impl_->threads) thread.join();
}

bool BlockingPool::Enqueue(std::function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping || impl_->queue.size() >= impl_->max_queued) return false;
    impl_->queue.push_back(std::move(work));
  }
  impl_->changed.notify_one();
  return true;
}

void BlockingPool::Escaped() { internal::ReportEscaped("blocking pool", std::current_exception()); }

}  // namespace posthorn::net
