#pragma once

// Small bodies that several letters need are read once. What was read last stays for a while.

#include <cstdint>
#include <list>
#include <memory>

#include "delivery-queue/remote/body.h"
#include "lib/net/loop.h"

namespace posthorn::delivery_queue {

class SharedBodies : public Bodies {
 public:
  static constexpr uint64_t kSmall = 256 * 1024;         // larger ones are read anew each time
  static constexpr uint64_t kKept = uint64_t{16} << 20;  // of all together

  // Both must outlive it and the streams.
  SharedBodies(net::Loop& loop, Bodies& source);
  ~SharedBodies() override;
  std::unique_ptr<BodyStream> Open(uint64_t blob_key, uint64_t blob_size) override;

 private:
  struct Body;
  class Stream;
  net::Loop& loop_;
  Bodies& source_;
  std::list<std::shared_ptr<Body>> kept_;  // the last used first
  uint64_t size_ = 0;
};

}  // namespace posthorn::delivery_queue
