#include <list>
#include <utility>
#include <vector>

#include "lib/net/listener.h"
#include "lib/net/loop.h"

namespace posthorn::net {

using Wake = std::function<void()>;

struct Drain::Impl {
  Loop* loop = nullptr;
  bool draining = false;
  std::list<std::weak_ptr<Wake>> wakes;
};

namespace {

template <class Impl>
class Registered : public Drain::Handle {
 public:
  Registered(std::shared_ptr<Impl> drain, std::shared_ptr<Wake> wake)
      : drain_(std::move(drain)), wake_(std::move(wake)) {
    drain_->wakes.push_back(wake_);
    place_ = std::prev(drain_->wakes.end());
  }
  ~Registered() override { drain_->wakes.erase(place_); }

 private:
  std::shared_ptr<Impl> drain_;
  std::shared_ptr<Wake> wake_;
  std::list<std::weak_ptr<Wake>>::iterator place_;
};

// A wake whose handle is gone does nothing.
void Call(const std::weak_ptr<Wake>& weak) {
  if (const auto wake = weak.lock()) (*wake)();
}

}  // namespace

Drain::Drain(Loop& loop) : impl_(std::make_shared<Impl>()) { impl_->loop = &loop; }
Drain::~Drain() = default;

bool Drain::draining() const { return impl_->draining; }

size_t Drain::open() const { return impl_->wakes.size(); }

void Drain::Begin() {
  if (std::exchange(impl_->draining, true)) return;
  // A copy: a wake may drop handles, its own too.
  const std::vector<std::weak_ptr<Wake>> wakes(impl_->wakes.begin(), impl_->wakes.end());
  for (const auto& wake : wakes) Call(wake);
}

std::unique_ptr<Drain::Handle> Drain::OnBegin(std::function<void()> wake) {
  auto shared = std::make_shared<Wake>(std::move(wake));
  if (impl_->draining) {
    impl_->loop->Post([weak = std::weak_ptr<Wake>(shared)] { Call(weak); });
  }
  return std::make_unique<Registered<Impl>>(impl_, std::move(shared));
}

}  // namespace posthorn::net
