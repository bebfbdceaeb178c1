// CPU and rate of appending small messages to segments, durable, for several numbers of appends in
// flight. usage: segment_bench [DIRECTORY] [BYTES]

#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <future>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "store-service/blob/local_blob_store.h"

namespace posthorn::store_service {
namespace {

int64_t CpuMicros() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

// Keeps `in_flight` appends under way until `count` were answered.
class Run {
 public:
  Run(BlobStore& store, int in_flight, int count, size_t bytes)
      : store_(store), in_flight_(in_flight), count_(count), body_(bytes, 'x') {}

  void Go() {
    const int64_t wall = base::MonotonicMicros();
    const int64_t cpu = CpuMicros();
    const uint64_t commits = store_.Stats().commits;
    for (int i = 0; i < in_flight_; ++i) Next();
    done_.get_future().wait();
    const double seconds = static_cast<double>(base::MonotonicMicros() - wall) / 1e6;
    std::printf("%4d in flight: %7.1f CPU us, %8.0f a second, %6.1f a commit, %d failed\n",
                in_flight_, static_cast<double>(CpuMicros() - cpu) / count_, count_ / seconds,
                static_cast<double>(count_) / static_cast<double>(store_.Stats().commits - commits),
                failed_.load());
  }

 private:
  void Next() {
    if (started_++ >= count_) return;
    store_.Append(body_, "", [this](const absl::StatusOr<BlobRef>& ref) {
      if (!ref.ok()) ++failed_;
      if (++answered_ == count_) done_.set_value();
      Next();
    });
  }

  BlobStore& store_;
  const int in_flight_;
  const int count_;
  const std::string body_;
  std::atomic<int> started_{0};
  std::atomic<int> answered_{0};
  std::atomic<int> failed_{0};
  std::promise<void> done_;
};

}  // namespace
}  // namespace posthorn::store_service

int main(int argc, char** argv) {
  const std::string directory = argc > 1 ? argv[1] : "/tmp/posthorn_segment_bench";
  const size_t bytes = argc > 2 ? std::stoul(argv[2]) : 4096;
  std::filesystem::remove_all(directory);
  {
    auto store = posthorn::store_service::OpenLocalBlobStore({.directory = directory});
    if (!store.ok()) {
      std::fprintf(stderr, "%s\n", std::string(posthorn::base::Message(store.status())).c_str());
      return 1;
    }
    for (const int in_flight : {1, 16, 128}) {
      const int count = in_flight == 1 ? 4'000 : 40'000;
      posthorn::store_service::Run(**store, in_flight, count, bytes).Go();
    }
  }
  std::filesystem::remove_all(directory);
  return 0;
}
