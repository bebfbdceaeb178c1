#include "lib/rpc/completion.h"

#include <grpcpp/alarm.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "lib/net/loop.h"

namespace posthorn::rpc {
namespace {

struct Owner {
  std::atomic<int> seen = 0;
  void On(bool) { ++seen; }
  Tag tag{Completion<&Owner::On>};
};

// gRPC's own threads put events into the queue at any moment, also when the loop is about to sleep
// and nothing else will ever wake it.
TEST(Completions, EventsOfOtherThreadsAreNotSleptOver) {
  constexpr int kEvents = 20'000;
  net::Loop loop;
  const auto completions = Completions::For(loop);
  const auto owner = std::make_shared<Owner>();
  std::thread other([&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    grpc::Alarm alarm;
    for (int i = 0; i < kEvents && owner->seen == i; ++i) {
      alarm.Set(&completions->queue(), std::chrono::system_clock::now() - std::chrono::seconds(1),
                owner->tag.Arm(owner));
      while (owner->seen <= i && std::chrono::steady_clock::now() < end) {
      }
    }
    loop.Post([] {});
    loop.Stop();
  });
  loop.Run();
  other.join();
  EXPECT_EQ(owner->seen, kEvents);
}

}  // namespace
}  // namespace posthorn::rpc
