#include "lib/process/stop_signal.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include "lib/net/loop.h"

namespace posthorn::process {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

struct StopSignal::Impl : std::enable_shared_from_this<Impl> {
  Impl(net::Loop& loop, std::function<void()> work)
      : descriptor(loop.context()), stop(std::move(work)) {}

  void Wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](
                                                                         std::error_code error) {
      if (error || !self->stop) return;
      signalfd_siginfo info{};
      if (read(self->descriptor.native_handle(), &info, sizeof(info)) == sizeof(info)) self->stop();
      self->Wait();
    });
  }

  asio::posix::stream_descriptor descriptor;
  std::function<void()> stop;
};

void StopSignal::Block() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer that went away is an error of write(), not the end of the process.
  signal(SIGPIPE, SIG_IGN);
}

StopSignal::StopSignal(net::Loop& loop, std::function<void()> stop)
    : impl_(std::make_shared<Impl>(loop, std::move(stop))) {
  const sigset_t set = StopSignals();
  impl_->descriptor.assign(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  impl_->Wait();
}

StopSignal::~StopSignal() {
  impl_->stop = nullptr;
  std::error_code ignored;
  impl_->descriptor.close(ignored);
}

}  // namespace posthorn::process
